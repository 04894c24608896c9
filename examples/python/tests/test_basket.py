import pytest

from basket import Basket, EmptyBasket


def test_total_is_the_sum_of_the_prices(basket):
    assert basket.total() == 420


def test_an_empty_basket_has_no_total():
    with pytest.raises(EmptyBasket):
        Basket().total()


@pytest.mark.parametrize("cents", [-1, -500])
def test_negative_prices_are_refused(cents):
    with pytest.raises(ValueError, match="negative"):
        Basket().add("apple", cents)


class TestFile:
    def test_a_saved_basket_is_the_same_basket(self, basket, tmp_path):
        basket.save(tmp_path / "basket.json")
        assert Basket.load(tmp_path / "basket.json").items == basket.items

    def test_a_missing_file_is_an_error(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            Basket.load(tmp_path / "absent.json")
