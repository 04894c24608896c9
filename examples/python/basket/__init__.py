"""A shopping basket: prices in cents, discounts, and a file to keep it in."""

from .basket import Basket, EmptyBasket
from .discount import half_price_second, percent_off

__all__ = ["Basket", "EmptyBasket", "half_price_second", "percent_off"]
