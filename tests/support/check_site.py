"""A check that the built documentation loads nothing from another host.

Run it as ``python tests/support/check_site.py build/site``: it prints each finding, and
exits with status 1 if there is one. Links that a reader may click are no findings.

Two parts of the theme load a script from another host, but only on pages that have a
diagram or name a repository. Such pages are findings, too.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

LOADING_RELATIONS = {
    "apple-touch-icon",
    "dns-prefetch",
    "icon",
    "manifest",
    "modulepreload",
    "preconnect",
    "prefetch",
    "preload",
    "shortcut",
    "stylesheet",
}
LOADING_ATTRIBUTES = {"src", "srcset", "poster", "data", "action", "xlink:href"}
FETCHING_MARKS = {"mermaid": "class", "source": "data-md-component"}
FOREIGN = re.compile(r"^\s*(?:https?:)?//", re.IGNORECASE)
IN_STYLE = re.compile(
    r"""(?:url\(\s*['"]?|@import\s+['"])((?:https?:)?//[^'")\s]+)""", re.IGNORECASE
)


class Loads(HTMLParser):
    """Collects the addresses that a browser would load for a page."""

    def __init__(self):
        super().__init__()
        self.found = []
        self._in_style = False

    def handle_starttag(self, tag, attrs):
        values = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        loading = {name for name in values if name in LOADING_ATTRIBUTES}
        if tag == "link" and LOADING_RELATIONS & set(values.get("rel", "").split()):
            loading.add("href")
        if tag in {"use", "image"}:
            loading.add("href")
        for name in loading & values.keys():
            if FOREIGN.match(values[name]):
                self.found.append(values[name])
        self.found += IN_STYLE.findall(values.get("style", ""))
        for mark, name in FETCHING_MARKS.items():
            if mark in values.get(name, "").split():
                self.found.append(f"{name}={mark}")

    def handle_data(self, data):
        if self._in_style:
            self.found += IN_STYLE.findall(data)


def loaded_by(page):
    """Return the foreign addresses that a page of HTML loads."""
    loads = Loads()
    loads.feed(page)
    return loads.found


def findings(site):
    """Yield each file of a site that loads something, with the foreign address."""
    for path in sorted(site.rglob("*")):
        if path.suffix == ".html":
            found = loaded_by(path.read_text(encoding="utf-8"))
        elif path.suffix == ".css":
            found = IN_STYLE.findall(path.read_text(encoding="utf-8"))
        else:
            continue
        for address in found:
            yield path, address


def main(site):
    pages = list(site.rglob("*.html"))
    if not pages:
        sys.exit(f"{site} has no pages")
    found = list(findings(site))
    for path, address in found:
        print(f"{path} loads {address}")
    if found:
        sys.exit(1)
    print(f"{len(pages)} pages load nothing from another host")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
