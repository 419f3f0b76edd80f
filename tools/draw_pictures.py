# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: INP001 - a program by itself
"""Draws the pictures of the documentation, docs/pictures/*.svg: `python tools/draw_pictures.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"

INK, FAINT, PAPER = "#1f2933", "#7b8794", "#ffffff"
BLUE, GREEN, ORANGE, GREY = "#dcebfb", "#dff3e3", "#fdebd3", "#eef1f4"
RED = "#c0392b"


@dataclass
class Picture:
    """An SVG file, drawn piece by piece. Positions and sizes are in pixels, from the upper left corner."""

    width: int
    height: int
    title: str
    description: str
    pieces: list[str] = field(default_factory=list)

    def box(self, x: float, y: float, width: float, height: float, text: str, fill: str, stroke: str = INK) -> None:
        """A box with lines of text in its middle; the first one is bold."""
        self.pieces.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" fill="{fill}" stroke="{stroke}"/>'
        )
        lines = text.split("\n")
        for number, line in enumerate(lines):
            at = y + height / 2 + 4.5 + (number - (len(lines) - 1) / 2) * 17
            self.text(x + width / 2, at, line, bold=number == 0, anchor="middle")

    def text(
        self, x: float, y: float, text: str, *, bold: bool = False, anchor: str = "start", color: str = INK
    ) -> None:
        """A line of text whose baseline is at `y`."""
        weight = ' font-weight="600"' if bold else ""
        self.pieces.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{color}"{weight}>{escape(text, quote=False)}</text>'
        )

    def arrow(self, *points: tuple[float, float], color: str = INK, dashed: bool = False) -> None:
        """A line through points, with a head at its end."""
        path = " ".join(f"{'ML'[number > 0]}{x:g} {y:g}" for number, (x, y) in enumerate(points))
        style = ' stroke-dasharray="5 4"' if dashed else ""
        head = "red" if color == RED else "ink"
        self.pieces.append(f'<path d="{path}" fill="none" stroke="{color}"{style} marker-end="url(#{head})"/>')

    def line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """A dashed border."""
        self.pieces.append(
            f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{FAINT}" stroke-dasharray="3 4"/>'
        )

    def svg(self) -> str:
        """The file."""
        heads = "".join(
            f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
            f'<path d="M0 0L8 4L0 8z" fill="{color}"/></marker>'
            for name, color in (("ink", INK), ("red", RED))
        )
        size = f'viewBox="0 0 {self.width} {self.height}" width="{self.width}" height="{self.height}"'
        return "\n".join(
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="system-ui, sans-serif" font-size="13">',
                f"<title>{escape(self.title)}</title>",
                f"<desc>{escape(self.description)}</desc>",
                f"<defs>{heads}</defs>",
                # A paper of its own, so that it can be read on a dark page too.
                f'<rect width="{self.width}" height="{self.height}" rx="10" fill="{PAPER}"/>',
                *self.pieces,
                "</svg>\n",
            )
        )


def overview() -> Picture:
    """For the README: what a kernel is compiled to, and where it is kept."""
    picture = Picture(
        900,
        250,
        "smelt in one picture",
        "A Python function is compiled to a portable artifact, which is kept in memory, in the user's store and in wheels, and linked "
        "for each device that it is launched on.",
    )
    picture.box(20, 90, 150, 70, "@smelt.kernel\na Python function", BLUE)
    picture.arrow((170, 125), (215, 125))
    picture.box(215, 90, 150, 70, "compiled\nfor argument types", BLUE)
    picture.arrow((365, 125), (410, 125))
    picture.box(410, 80, 170, 90, "artifact\nportable: machine\ncode or a metallib", GREEN)
    for y, text, fill in (
        (25, "CPU\nall cores, vectors", ORANGE),
        (95, "Metal\na GPU of Apple's", ORANGE),
        (165, "Metal in software\non any machine", ORANGE),
    ):
        picture.arrow((580, 125), (640, y + 28))
        picture.box(640, y, 200, 56, text, fill)
    picture.arrow((495, 170), (495, 197))
    picture.text(495, 213, "kept in the store, shipped in wheels", anchor="middle", color=FAINT)
    picture.text(610, 243, "linked once for each session and device", anchor="start", color=FAINT)
    picture.arrow((290, 60), (290, 90), color=RED)
    picture.text(290, 36, "something that it depends on", anchor="middle", color=RED)
    picture.text(290, 53, "changed: compiled again", anchor="middle", color=RED)
    return picture


def pipeline() -> Picture:
    """The way of a kernel from its source to a launch, and where each change and each hit enters it."""
    picture = Picture(
        960,
        330,
        "The pipeline",
        "Source, typed program, LLVM IR, artifact and linked kernel, from left to right. A changed function enters at the source, a "
        "changed option at the LLVM IR, a new process at linking, a warm launch at the launch.",
    )
    stages = (
        ("source\nsyntax tree", BLUE),
        ("typed program\nwith edges", BLUE),
        ("LLVM IR\noptimised", BLUE),
        ("artifact\nportable bytes", GREEN),
        ("linked kernel\nof this session", ORANGE),
        ("launch\nmachine code", ORANGE),
    )
    steps = ("inference", "lowering", "back end", "link", "check")
    width, gap, y = 122, 36, 130
    at = [20 + number * (width + gap) for number in range(len(stages))]
    for x, (text, fill) in zip(at, stages, strict=True):
        picture.box(x, y, width, 64, text, fill)
    for x, step in zip(at, steps, strict=False):
        picture.arrow((x + width, y + 32), (x + width + gap, y + 32))
        picture.text(x + width + gap / 2, y - 12, step, anchor="middle", color=FAINT)
    border = at[4] - gap / 2
    picture.line(border, 200, border, 310)
    picture.text(border - 10, 305, "same bytes in every process, kept", anchor="end", color=FAINT)
    picture.text(border + 10, 305, "handles, made anew", color=FAINT)
    for number, lines in (
        (0, ("a function changed", "enters here")),
        (2, ("an option changed", "enters here")),
        (4, ("a new process", "enters here")),
        (5, ("a warm launch", "enters here")),
    ):
        middle = at[number] + width / 2
        picture.arrow((middle, 62), (middle, y), color=RED)
        for line, text in enumerate(lines):
            picture.text(middle, 36 + 17 * line, text, anchor="middle", color=RED)
    kept = at[3] + width / 2
    picture.box(at[3] - 46, 226, width + 40, 50, "store, images\nof earlier processes", GREY)
    picture.arrow((kept, y + 64), (kept, 226))
    picture.arrow((at[3] + width - 6, 240), (at[4] + width / 2, 240), (at[4] + width / 2, y + 64))
    return picture


def invalidation() -> Picture:
    """What a change reaches: the code that depends on it, and nothing else."""
    picture = Picture(
        820,
        360,
        "Invalidation",
        "The global GAIN is rebound. The code of the function amplified, which read it, and of the kernel blur, which calls amplified, "
        "ends in this world. The kernel edges, which calls only luminance, stays.",
    )
    picture.text(110, 34, "names", bold=True, anchor="middle")
    picture.text(360, 34, "functions", bold=True, anchor="middle")
    picture.text(640, 34, "kernels", bold=True, anchor="middle")
    picture.box(30, 60, 160, 64, "GAIN\n2.0, then 3.0", "#fadbd8", RED)
    picture.box(30, 180, 160, 64, "WEIGHTS\n(0.3, 0.6, 0.1)", GREY)
    picture.box(270, 60, 180, 64, "amplified(float32)\nends in world 41", "#fadbd8", RED)
    picture.box(270, 180, 180, 64, "luminance(float32)\nfrom world 12 on", GREEN)
    picture.box(540, 60, 200, 64, "blur(float32[:, :], ...)\nends in world 41", "#fadbd8", RED)
    picture.box(540, 180, 200, 64, "edges(float32[:, :], ...)\nfrom world 15 on", GREEN)
    picture.arrow((190, 92), (270, 92), color=RED)
    picture.arrow((450, 92), (540, 92), color=RED)
    picture.arrow((190, 212), (270, 212))
    picture.arrow((450, 205), (540, 205))
    picture.arrow((450, 190), (500, 190), (540, 118))
    picture.text(230, 84, "read", anchor="middle", color=FAINT)
    picture.text(495, 84, "called", anchor="middle", color=FAINT)
    picture.text(230, 204, "read", anchor="middle", color=FAINT)
    picture.text(495, 222, "called", anchor="middle", color=FAINT)
    picture.text(
        30,
        290,
        "GAIN = 3.0 begins world 42. The change follows the backedges, from what was read to what read it, and ends",
    )
    picture.text(
        30, 309, "the code that it reaches. The next launch of blur compiles amplified and blur again; edges runs on."
    )
    picture.text(
        30,
        338,
        "smelt.why(blur):  GAIN was rebound; amplified(float32) depends on it, which blur(...) depends on (world 42)",
        color=FAINT,
    )
    return picture


DRAWN = {"overview": overview, "pipeline": pipeline, "invalidation": invalidation}


def main() -> None:
    """Draw all of them."""
    PICTURES.mkdir(exist_ok=True)
    for name, draw in DRAWN.items():
        (PICTURES / f"{name}.svg").write_text(draw().svg(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
