import pytest

from basket import Basket


@pytest.fixture
def basket():
    basket = Basket()
    basket.add("apple", 50, count=2)
    basket.add("bread", 320)
    return basket
