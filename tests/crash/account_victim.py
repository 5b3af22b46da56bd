"""A bot to be killed: follows a whole account, writes down what it posts.

    python account_victim.py BASE_URL ACCOUNT with|after DIRECTORY

The token is in ``CANOPY_TOKEN``. `saving_bot` says what ``with`` and ``after`` are.
"""

from saving_bot import run

OPTIONS = {
    "start": "beginning",
    "every": 0.02,
    "overlap": 5.0,
    "deep_overlap": 120.0,
    "deep_every": 0.2,
}

if __name__ == "__main__":
    run(lambda canopy, **place: canopy.follow_account(**place, **OPTIONS))
