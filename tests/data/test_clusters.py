"""Groups that hold clusters together."""

import dataclasses

import numpy as np
from test_near_duplicates import rows

from finecomb.data.prepare.clusters import held_together


def test_rows_of_a_cluster_have_one_group_and_groups_that_a_cluster_joins_become_one():
    given = rows(["a", "b", "c", "d", "e", "f"])
    assert held_together(given, [np.array([0, 1, 0, 3, 4, 5])]).group == ["like 0", "", "like 0", "", "", ""]
    grouped = dataclasses.replace(given, group=["", "x", "y", "y", "", "z"])
    assert held_together(grouped, [np.array([0, 1, 1, 3, 0, 5])]).group == ["like 0", "x", "x", "x", "like 0", "z"]
    two = held_together(given, [np.array([0, 0, 2, 3, 4, 5]), np.array([0, 1, 1, 3, 4, 5])])
    assert two.group == ["like 0", "like 0", "like 0", "", "", ""]


def test_rows_without_clusters_are_left_as_they_are():
    given = rows(["a", "b"])
    assert held_together(given, [np.array([0, 1])]) is given
