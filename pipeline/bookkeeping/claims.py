"""What a lease claims of its run, and how much of that is believed.

Leases are copied with a table, and a table may come from a stranger. What lies in the table's own
folder is found by the run's id alone. A staging folder elsewhere counts as a dead run's only if all
of this holds:

- the lease names this table's folder, so it is no copy;
- the folder is called like the run, in one called `STATE`, and no link leads to it;
- an owner file in it makes the same claim as the lease, a random token included;
- the run's lock on the owner file is gone, too.
"""

import os
import secrets

import msgspec

from pipeline import notices, storage
from pipeline.bookkeeping import locks, places, state
from pipeline.bookkeeping.state import DamagedError
from pipeline.storage.paths import STATE

# Three paths of 4096 bytes, each byte written as six in JSON at most.
LIMIT_BYTES = 128 << 10

_OWNER = "owner.json"


class Claim(msgspec.Struct, frozen=True):
    """What a lease says of its run, and the owner file of its staging folder as well.

    Attributes:
        run: The run's id.
        table: The table's identity; "" if there was no table when the run began.
        root: The real path of the table's folder.
        staging: The run's staging folder: its real path, or relative to the table if it lies there.
        made: The topmost folder that the run has made for staging, "" if temp was there.
        token: Random, so that nobody can write an owner file without the lease.
    """

    run: str
    table: str
    root: str
    staging: str
    made: str
    token: str

    @property
    def is_inside(self) -> bool:
        """Tells whether the run stages in its table."""
        return self.staging == places.inside(self.run)

    @property
    def owner(self) -> str:
        """The path of the owner file in a staging folder elsewhere."""
        return storage.join(self.staging, _OWNER)


def make(root: str, run_id: str, staging: str, table_id: str, made: str) -> Claim:
    """Returns the claim of a run that begins.

    Args:
        root: The table.
        run_id: The run.
        staging: Its staging folder.
        table_id: See `Claim`.
        made: See `Claim`.
    """
    if staging == storage.join(root, places.inside(run_id)):
        place = places.inside(run_id)
    elif storage.is_local(staging):
        place, made = os.path.realpath(staging), made and os.path.realpath(made)
    else:
        place = staging
    return Claim(run_id, table_id, os.path.realpath(root), place, made, secrets.token_hex(16))


def staging_of(root: str, run_id: str, lease: str, content: bytes) -> tuple[str, str]:
    """Returns the folders of a dead run, as far as its lease can be believed.

    Args:
        root: The table.
        run_id: The run.
        lease: The path of its lease.
        content: What is in it.

    Returns:
        The staging folder, and the topmost folder that the run has made for it, if any.

    Raises:
        BlockingIOError: The run is alive after all.
    """
    in_table = (storage.join(root, places.inside(run_id)), "")
    try:
        claim = msgspec.json.decode(content, type=Claim)
    except (ValueError, RecursionError):  # also of a version that wrote the folder's path only
        notices.say(f"{lease} is not a lease that this version writes; what it names is left")
        return in_table
    if claim.staging == places.inside(run_id):
        return in_table
    try:
        doubt = _doubt(root, run_id, claim, content)
    except BlockingIOError:
        raise
    except (OSError, ValueError) as error:
        doubt = str(error)
    if doubt is None:
        return claim.staging, claim.made
    if doubt:
        notices.say(f"{lease} names the folder {claim.staging!r}, which is left alone: {doubt}")
    return in_table


def _doubt(root: str, run_id: str, claim: Claim, content: bytes) -> str | None:
    """Says why a staging folder is not proved to be a dead run's.

    Returns:
        The reason; None if it is proved, "" if there is no such folder.

    Raises:
        BlockingIOError: The run is alive.
    """
    if claim.root != os.path.realpath(root):
        return f"the lease is of a run of the table in {claim.root!r}"
    if claim.run != run_id or claim.staging.split("/")[-2:] != [STATE, run_id]:
        return "it is not called like a staging folder of this run"
    if not storage.is_local(claim.staging):
        known = storage.exists(claim.owner) and state.read(claim.owner, LIMIT_BYTES) == content
        return None if known else "its owner file does not say the same"
    if not os.path.lexists(claim.staging):
        return ""
    if os.path.realpath(claim.staging) != claim.staging:
        return "a symbolic link leads to it"
    names = os.listdir(claim.staging)
    try:
        with locks.reading(claim.owner) as file:
            found = file.read(LIMIT_BYTES)
    except (DamagedError, FileNotFoundError):
        return None if not names else "it has no owner file"
    # Killed while it wrote the owner file, a run has staged nothing yet.
    begun = names == [_OWNER] and content.startswith(found)
    return None if found == content or begun else "its owner file does not say the same"
