"""Labeling by hand: a local page, hand-offs to other tools and back, agreement, what to label next, and labels that are probably wrong.

What labels rows while they are prepared is in `finecomb.data.annotator`. No torch.
"""
