"""The cost of a migration, as a sum of terms: an amount times the cost of one, fitted to runs.
Arithmetic only.

CPU time of an end = data · bytes of data + zero · zero pages that are read + untouched · GiB that
were never touched + channel · channels + fixed. Wall time = the longest of: the link's time, and
each end's CPU time over its cores, for the share of the time that cores are kept busy."""

from dataclasses import dataclass

TERMS = ("data-gb", "zero-gb", "untouched-gib", "channels", "fixed")


@dataclass(frozen=True)
class Point:
    """One measured run: the amount of each term, and what it took."""

    amounts: tuple  # in the order of TERMS
    cpu_ms: float


def solve(matrix, right):
    """Gauss with pivoting; None where the equations do not determine a solution."""
    n = len(right)
    rows = [list(row) + [value] for row, value in zip(matrix, right)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(rows[r][i]))
        if abs(rows[pivot][i]) < 1e-12:
            return None
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(n):
            if r != i:
                factor = rows[r][i] / rows[i][i]
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[i])]
    return [rows[i][n] / rows[i][i] for i in range(n)]


def _least_squares(points, terms):
    """Errors weigh by their share of the measured value: a run of 2 ms counts like one of 2 s."""
    def weighted(p):
        weight = 1 / max(p.cpu_ms, 5)
        return [p.amounts[t] * weight for t in terms], p.cpu_ms * weight

    rows = [weighted(p) for p in points]
    matrix = [[sum(a[i] * a[j] for a, _ in rows) for j in range(len(terms))]
              for i in range(len(terms))]
    return solve(matrix, [sum(a[i] * y for a, y in rows) for i in range(len(terms))])


def fit(points):
    """The cost of each term in ms, none below 0: a negative cost is noise, and left out."""
    terms = [t for t in range(len(TERMS)) if any(p.amounts[t] for p in points)]
    while terms:
        costs = _least_squares(points, terms)
        if costs and min(costs) >= 0:
            return {name: costs[terms.index(t)] if t in terms else 0.0
                    for t, name in enumerate(TERMS)}
        terms.remove(terms[costs.index(min(costs))] if costs else terms[-1])
    return dict.fromkeys(TERMS, 0.0)


def cost_ms(costs, amounts):
    return sum(costs[name] * amount for name, amount in zip(TERMS, amounts))


def errors(costs, points):
    """The model's smallest and largest error, as shares of the measured value."""
    return sorted(abs(cost_ms(costs, p.amounts) - p.cpu_ms) / max(p.cpu_ms, 5) for p in points)


def predict(send, recv, amounts, link_bits_per_s, cores, busy):
    """Between two hosts with `cores` each, of which a share `busy` of the time works: seconds, and
    what limits them."""
    took = {
        "the link": amounts[0] * 8e9 / link_bits_per_s,
        "the source's cores": cost_ms(send, amounts) / 1000 / (cores * busy),
        "the destination's cores": cost_ms(recv, amounts) / 1000 / (cores * busy),
    }
    what = max(took, key=took.get)
    return took[what], what


def cores_for(costs, amounts, link_bits_per_s, busy):
    """How many cores an end needs so that the link is the limit."""
    link_s = amounts[0] * 8e9 / link_bits_per_s
    return cost_ms(costs, amounts) / 1000 / busy / link_s
