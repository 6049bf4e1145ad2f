"""Which networks each method explains: the README's table, against trying some of it again."""

import pytest

import gather_applies
from explanations.methods.sources.registry import SOURCES

ROWS = gather_applies.read_rows(gather_applies.TABLE)


def test_every_method_was_tried_on_every_network():
    tried = [(source, name) for source, entry in SOURCES.items() if not entry.taken for name in entry.names]
    wanted = [(*method, network) for method in tried for network in gather_applies.list_networks()]
    assert [(row["source"], row["method"], row["network"]) for row in ROWS] == wanted


@pytest.mark.parametrize(
    ("method", "network"), [("DeepLift", "resnet50"), ("GuidedBackprop", "mobilenet_v2"), ("GuidedBackprop", "alexnet")]
)
def test_the_table_is_what_trying_gives(method, network):
    reason = gather_applies.try_method("captum", method, gather_applies.list_networks()[network])
    (row,) = [row for row in ROWS if (row["method"], row["network"]) == (method, network)]
    assert row["reason"] == reason


def test_rows_of_a_library_that_is_absent_stay(monkeypatch, capsys):
    """And methods of files of one's own aren't tried."""

    def refuse(source):
        raise gather_applies.InputError(f"source is {source}; its library, x, is not installed: make extras")

    monkeypatch.setattr(gather_applies, "check_extra", refuse)
    known = [{"source": "captum", "method": "LRP", "network": "vgg16", "reason": "why"}, {"source": "gone"}]
    assert list(gather_applies.try_methods(known)) == known[:1]
    assert "source is captum; its library, x, is not installed: make extras; its rows stay" in capsys.readouterr().out
