"""The basket itself. Amounts are whole cents, so nothing is ever rounded twice."""

import json
from pathlib import Path


class EmptyBasket(Exception):
    """There is nothing to pay for."""


class Basket:
    """Items with a price each, in the order in which they were added."""

    def __init__(self, discounts=()):
        self.items = []
        self.discounts = list(discounts)

    def add(self, name, cents, count=1):
        if cents < 0:
            raise ValueError(f"a price cannot be negative: {cents}")
        self.items.extend([(name, cents)] * count)

    def total(self):
        if not self.items:
            raise EmptyBasket
        sum_of_prices = sum(cents for _, cents in self.items)
        return max(0, sum_of_prices - sum(discount(self.items) for discount in self.discounts))

    def save(self, path):
        Path(path).write_text(json.dumps(self.items))

    @classmethod
    def load(cls, path):
        basket = cls()
        basket.items = [(name, cents) for name, cents in json.loads(Path(path).read_text())]
        return basket
