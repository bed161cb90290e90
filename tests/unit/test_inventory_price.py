"""The price of a GPU hour in the inventory: optional, and refused where it is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdctl.inventory.load import parse
from pdctl.inventory.place import place
from pdctl.inventory.problems import InvalidInventory

ROOT = Path(__file__).parents[2]
PATH = sorted((ROOT / "inventories").glob("*.yaml"))[0]


def test_a_price_reaches_the_deployment_and_none_is_none() -> None:
    text = PATH.read_text()
    assert place(parse(text.encode(), PATH)).usd_per_gpu_hour is None
    priced = f"{text}\nprice: {{usd_per_gpu_hour: 2.5}}\n"
    assert place(parse(priced.encode(), PATH)).usd_per_gpu_hour == 2.5


@pytest.mark.parametrize("price", ["0", "-1", "free", ".nan", ".inf", "20000"])
def test_what_is_no_price_is_refused_where_it_stands(price: str) -> None:
    text = PATH.read_text()
    with pytest.raises(InvalidInventory) as caught:
        parse(f"{text}\nprice: {{usd_per_gpu_hour: {price}}}\n".encode(), PATH)
    (problem,) = caught.value.located
    assert problem.where == "price.usd_per_gpu_hour"
    assert (problem.line, problem.col) == (text.count("\n") + 2, 27)
