"""Blocks, headings, links and tables of the project's pages."""

import itertools
import re
from pathlib import Path

import attrs

__all__ = ["PAGES", "ROOT", "Block", "Page", "parse", "slug", "with_outputs"]

ROOT = Path(__file__).parents[2]


@attrs.frozen(kw_only=True)
class Block:
    """A fenced block.

    Attributes:
        line: The number of its first line.
        heading: The heading above it.
        language: The word after its opening fence.
        code: Its text.
        output: The text block right after it, None if there is none.
        page: The name of the page that it is in.
    """

    line: int
    heading: str
    language: str
    code: str
    output: str | None = None
    page: str = ""


def parse(text, page=""):
    """Yield the blocks of a Markdown text, and the titles of its headings."""
    heading, opened = "", None
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if opened is None and line.startswith("```"):
            opened = number
        elif line.startswith("```"):
            yield Block(
                line=opened + 1,
                heading=heading,
                language=lines[opened - 1].removeprefix("```"),
                code="\n".join(lines[opened : number - 1]) + "\n",
                page=page,
            )
            opened = None
        elif opened is None and (match := re.fullmatch(r"(#+) (.+)", line)):
            heading = match[2]
            yield heading


def with_outputs(blocks):
    """Attach to each Python block the text block that directly follows it, if any."""
    for block, after in itertools.pairwise([*blocks, None]):
        end = block.line + block.code.count("\n")
        if block.language == "python" and after and after.language == "text":
            follows = after.line == end + 3
            yield attrs.evolve(block, output=after.code if follows else None)
        else:
            yield block


def slug(title):
    """Return the anchor of a heading in the rendered page."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


class Page:
    """A page of Markdown.

    Attributes:
        path: The path of the file.
        name: The path relative to the project.
        text: The whole text.
        prose: The text without fenced blocks.
        headings: The titles of the headings.
        blocks: The fenced blocks.
    """

    def __init__(self, path):
        self.path = path
        self.name = path.relative_to(ROOT).as_posix()
        self.text = path.read_text(encoding="utf-8")
        self.prose = re.sub(
            r"^```.*?^```$", "", self.text, flags=re.DOTALL | re.MULTILINE
        )
        parsed = list(parse(self.text, self.name))
        self.headings = [part for part in parsed if isinstance(part, str)]
        blocks = [part for part in parsed if isinstance(part, Block)]
        self.blocks = list(with_outputs(blocks))

    @property
    def anchors(self):
        """The anchors of its headings."""
        return [slug(title) for title in self.headings]

    @property
    def links(self):
        """The targets of its links, except those to another host."""
        targets = re.findall(r"\]\(([^)]+)\)", self.prose)
        return [target for target in targets if "://" not in target]

    def table_after(self, text):
        """Return the rows of the first table after a text, without its head."""
        lines = iter(self.prose[self.prose.index(text) :].splitlines())
        table = itertools.dropwhile(lambda line: not line.startswith("|"), lines)
        rows = list(itertools.takewhile(lambda line: line.startswith("|"), table))
        return [[cell.strip() for cell in row[1:-1].split("|")] for row in rows[2:]]


PAGES = {
    page.name: page
    for page in map(
        Page,
        [
            ROOT / "README.md",
            ROOT / "CONTRIBUTING.md",
            ROOT / "SECURITY.md",
            *sorted((ROOT / "docs").rglob("*.md")),
        ],
    )
}
"""The pages that people read, by their paths in the project."""
