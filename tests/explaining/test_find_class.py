"""Which class a user means: by its name, a part of it, or its index."""

import pytest
from conftest import refused

from explanations.files.classes import find_class

CLASSES = ("tabby cat", "tiger cat", "Tiger", "dog", "10", "hotdog", "ox", "boxer", "1", "Cardigan", "cardigan")


@pytest.mark.parametrize(
    ("text", "index"),
    [
        *[("tabby cat", 0), ("TABBY", 0), ("tabby c", 0), ("tiger", 2), ("dog", 3), ("hot", 5), ("ox", 6), ("xer", 7)],
        *[("10", 4), ("1", 8), ("3", 3), ("0", 0), (" tiger cat ", 1)],
        *[("Cardigan", 9), ("cardigan", 10), (" cardigan", 10)],
    ],
)
def test_one_class(text, index):
    """A whole name comes before an index, and a word before a part of one; case tells apart what nothing else does."""
    assert find_class(text, CLASSES) == index


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat", "target is cat; it is part of the names of 2 classes: tabby cat, tiger cat"),
        ("99", "target is 99; the network has classes 0 to 10"),
        ("tiger d", "target is tiger d; no class has that in its name; the closest are Tiger, tiger cat"),
        ("zzz", "target is zzz; no class has that in its name"),
        (
            "CARDIGAN",
            "target is CARDIGAN; classes of that name differ in small and capital letters: Cardigan, cardigan",
        ),
        ("", "target is ; no class has that in its name"),
    ],
)
def test_none_or_several(text, message):
    assert refused(find_class, text, CLASSES) == message


def test_long_lists_of_candidates_are_cut():
    message = refused(find_class, "class", [f"class {k}" for k in range(40)])
    assert message.startswith("target is class; it is part of the names of 40 classes: class 0, class 1, ")
    assert message.endswith("class 11 and 28 others")
