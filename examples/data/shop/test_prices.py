import unittest

from prices import average, cheapest, total


class PricesTest(unittest.TestCase):
    def test_total(self):
        self.assertEqual(total([100, 250], 10), 315)

    def test_average(self):
        self.assertEqual(average([100, 200]), 150)

    def test_cheapest(self):
        self.assertEqual(cheapest([300, 200]), 200)
        self.assertEqual(cheapest([500, 400]), 400)
