"""Discounts: functions from the items of a basket to the cents to take off."""


def percent_off(percent):
    """A share of everything, rounded down in the shop's favour."""

    def discount(items):
        return sum(cents for _, cents in items) * percent // 100

    return discount


def half_price_second(name):
    """Every second item of one name costs half."""

    def discount(items):
        prices = sorted(cents for item, cents in items if item == name)
        return sum(cents // 2 for cents in prices[: len(prices) // 2])

    return discount
