"""Prices in cents."""


def total(prices, discount_percent=0):
    """The sum of the prices, less a discount."""
    sum = 0
    for price in prices:
        sum += price
    return sum - sum * discount_percent // 100


def average(prices):
    return total(prices) / len(prices)


def cheapest(prices, seen=[]):
    seen.extend(prices)
    return min(seen)
