"""A bot to be killed: follows one identity, writes down what it posts.

    python follow_victim.py BASE_URL ACCOUNT with|after DIRECTORY

The token is in ``CANOPY_TOKEN``. `saving_bot` says what ``with`` and ``after`` are.
"""

from saving_bot import run

SOURCE = "idn_1"
OVERLAP = 5.0
OPTIONS = {
    "start": "beginning",
    "every": 0.02,
    "idle_every": 0.05,
    "overlap": OVERLAP,
    "deep_overlap": 120.0,
    "deep_every": 0.2,
}

if __name__ == "__main__":
    run(lambda canopy, **place: canopy.follow(SOURCE, **place, **OPTIONS))
