"""The names of the layers, and the weights written behind them."""

from __future__ import annotations

import pytest

from impasto import layers
from impasto.errors import OptionError


def test_vgg19_has_sixteen_convolutions_and_their_relus() -> None:
    assert len(layers.CONVOLUTIONS) == 16
    assert len(set(layers.NAMES)) == 32
    assert layers.CONVOLUTIONS[:3] == ("conv1_1", "conv1_2", "conv2_1")
    assert layers.CONVOLUTIONS[-1] == "conv5_4"
    assert "relu3_4" in layers.NAMES
    assert "conv2_3" not in layers.NAMES


@pytest.mark.parametrize(
    ("name", "side"), [("conv1_2", 1), ("relu2_1", 2), ("relu3_4", 4), ("conv4_2", 8), ("relu5_1", 16)]
)
def test_scale_by_hand(name: str, side: int) -> None:
    assert layers.scale_of(name) == side


@pytest.mark.parametrize(
    ("wrong", "right"), [("relu4_9", "relu4_4"), ("RELU4_1", "relu4_1"), ("conv42", "conv4_2"), ("relu_3_1", "relu3_1")]
)
def test_a_wrong_name_suggests_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(OptionError, match=rf"{wrong}.*did you mean {right}\?"):
        layers.parse_weighted(wrong)


@pytest.mark.parametrize("text", ["", ":", "7", "block4_conv2", "relu4_1 0.5", "relu4_1,relu5_1"])
def test_anything_else_is_one_line_of_error(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        layers.parse_weighted(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", ["", "x", "-1", "nan", "inf", "1e999", "0.5:2"])
def test_a_wrong_weight_is_refused(number: str) -> None:
    with pytest.raises(OptionError, match="relu4_1"):
        layers.parse_weighted(f"relu4_1:{number}")


def test_weights_left_out_are_equal_shares() -> None:
    assert layers.resolve(("relu1_1", "relu2_1", "relu3_1", "relu4_1")) == dict.fromkeys(
        ("relu1_1", "relu2_1", "relu3_1", "relu4_1"), 0.25
    )
    assert layers.resolve((" conv4_2:0 ", "conv1_1:1e3")) == {"conv4_2": 0.0, "conv1_1": 1000.0}
