"""A log-log chart as SVG text, small enough to keep beside the numbers."""

import math

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 420, 62, 46, 14, 14
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def log_log(lines, x_title, y_title):
    """Return a chart of lines, {label: [(x, y), …]}, all numbers above zero."""
    xs = [x for line in lines.values() for x, _ in line]
    ys = [y for line in lines.values() for _, y in line]
    across, up = decades(xs), decades(ys)

    def place(x, y):
        return (
            LEFT + (WIDTH - LEFT - RIGHT) * along(x, across),
            HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * along(y, up),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *axes(across, up, place, x_title, y_title),
    ]
    for number, (label, line) in enumerate(lines.items()):
        parts += drawn(label, line, number, place)
    return "\n".join([*parts, "</svg>\n"])


def decades(numbers):
    """Return the powers of ten around all numbers."""
    return math.floor(math.log10(min(numbers))), math.ceil(math.log10(max(numbers)))


def along(number, ends):
    return (math.log10(number) - ends[0]) / max(1, ends[1] - ends[0])


def axes(across, up, place, x_title, y_title):
    """Yield a line and a label for each power of ten, and the titles."""
    low, high = 10.0 ** up[0], 10.0 ** up[1]
    left, right = 10.0 ** across[0], 10.0 ** across[1]
    for power in range(across[0], across[1] + 1):
        (x, bottom), (_, top) = place(10.0**power, low), place(10.0**power, high)
        yield stroke(x, bottom, x, top)
        yield text(x, bottom + 16, f'10<tspan dy="-4" font-size="9">{power}</tspan>', "middle")
    for power in range(up[0], up[1] + 1):
        (start, y), (end, _) = place(left, 10.0**power), place(right, 10.0**power)
        yield stroke(start, y, end, y)
        yield text(start - 6, y + 4, f'10<tspan dy="-4" font-size="9">{power}</tspan>', "end")
    yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_title, "middle")
    middle = (TOP + HEIGHT - BOTTOM) / 2
    yield (
        f'<text transform="translate(16 {middle:.1f}) rotate(-90)" text-anchor="middle">'
        f"{y_title}</text>"
    )


def drawn(label, line, number, place):
    """Yield the line of a label, its points, and its place in the legend."""
    colour = COLOURS[number % len(COLOURS)]
    points = [place(x, y) for x, y in line]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    for x, y in points:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>'
    y = TOP + 16 + 16 * number
    yield f'<rect x="{LEFT + 12}" y="{y - 8}" width="14" height="3" fill="{colour}"/>'
    yield text(LEFT + 32, y - 2, label, "start")


def stroke(x1, y1, x2, y2):
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#ddd"/>'


def text(x, y, words, anchor):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'
