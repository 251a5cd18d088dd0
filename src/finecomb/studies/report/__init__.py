"""Tables, figures, pages and LaTeX of one analysis, for a study, for `finecomb compare` and for `finecomb runs verify`."""
