"""Runs commands on a terminal and draws what its screen shows at the end.

usage: picture.py OUTPUT.svg COMMAND...
"""

import os
import pty
import sys
from xml.sax.saxutils import escape

import pyte

COLUMNS, ROWS = 92, 40
CELL_WIDTH, LINE_HEIGHT, MARGIN, BAR = 8.4, 19, 16, 30
COLOURS = {
    "default": "#d8dee9", "black": "#3b4252", "red": "#e06c75", "green": "#98c379", "brown": "#e5c07b",
    "blue": "#61afef", "magenta": "#c678dd", "cyan": "#56b6c2", "white": "#e5e9f0",
    "brightblack": "#7f8998", "brightred": "#ff7b86", "brightgreen": "#b5e890", "brightbrown": "#ffd68a",
    "brightblue": "#82c7ff", "brightmagenta": "#dc9cf0", "brightcyan": "#7fd5e0", "brightwhite": "#ffffff",
}


def run(command, stream):
    """Feeds all that `command` writes on a terminal of its own to `stream`."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(ROWS))
        os.execv("/bin/sh", ["sh", "-c", f"stty cols {COLUMNS} rows {ROWS}; {command}"])
    while True:
        try:
            output = os.read(terminal, 65536)
        except OSError:  # Linux says EIO when the last writer has gone
            break
        if not output:
            break
        stream.feed(output)
    os.waitpid(pid, 0)


def spans(line):
    """The pieces of a line that look alike: (column, text, colour, bold)."""
    pieces = []
    for column in range(COLUMNS):
        cell = line[column]
        colour = cell.fg if cell.fg in COLOURS else "#" + cell.fg if len(cell.fg) == 6 else "default"
        look = (COLOURS.get(colour, colour), cell.bold)
        if pieces and pieces[-1][2:] == look:
            pieces[-1] = (*pieces[-1][:1], pieces[-1][1] + cell.data, *look)
        else:
            pieces.append((column, cell.data, *look))
    return [piece for piece in pieces if piece[1].strip()]


def draw(screen):
    lines = [spans(screen.buffer[row]) for row in range(ROWS)]
    while lines and not lines[-1]:
        lines.pop()
    width = MARGIN * 2 + COLUMNS * CELL_WIDTH
    height = BAR + MARGIN + len(lines) * LINE_HEIGHT
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        'font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="14">',
        f'<rect width="{width:.0f}" height="{height:.0f}" rx="8" fill="#22272e"/>',
    ]
    for number, colour in enumerate(("#ff5f56", "#ffbd2e", "#27c93f")):
        svg.append(f'<circle cx="{MARGIN + 4 + number * 18}" cy="{BAR / 2 + 2}" r="5.5" fill="{colour}"/>')
    for row, line in enumerate(lines):
        y = BAR + (row + 0.8) * LINE_HEIGHT
        for column, text, colour, bold in line:
            stripped = text.rstrip()
            x = MARGIN + column * CELL_WIDTH
            weight = ' font-weight="bold"' if bold else ""
            svg.append(
                f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}"{weight} xml:space="preserve" '
                f'textLength="{len(stripped) * CELL_WIDTH:.1f}">{escape(stripped)}</text>'
            )
    return "\n".join([*svg, "</svg>", ""])


def main():
    output, *commands = sys.argv[1:]
    screen = pyte.Screen(COLUMNS, ROWS)
    screen.set_mode(pyte.modes.LNM)
    stream = pyte.ByteStream(screen)
    for command in commands:
        stream.feed(f"\x1b[1;32m$\x1b[0m \x1b[1m{command}\x1b[0m\r\n".encode())
        run(command, stream)
        stream.feed(b"\r\n")
    with open(output, "w", encoding="utf-8") as file:
        file.write(draw(screen))


main()
