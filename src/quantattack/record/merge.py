"""Merging of the records of one run that was split into parts."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from quantattack.errors import InputError
from quantattack.record.file import FILE, plain_errors
from quantattack.record.identity import Identity
from quantattack.record.outcome import COLUMNS
from quantattack.record.store import Store

_VERDICT = ("label", "clean_prediction", "prediction", "inside")
_ON = "ON theirs.image = mine.image WHERE mine.cell = ? AND theirs.cell = ?"


def merge(parts: Sequence[Path | str], out: Path | str) -> Store:
    """Merge the records of a run's parts into one record, which the run without parts can resume.

    Arguments:
        parts: Folders of records whose settings differ only in the part.
        out: Folder of the merged record; more parts may be merged into it later.

    Raises:
        InputError: If a folder holds no record, a part of another run, or other verdicts on the same images.
    """
    if not parts:
        raise InputError("name the folders of at least one part")
    stores = [Store.load(part) for part in parts]
    wholes = [Identity.from_json(store.identity).whole for store in stores]
    for part, identity in zip(parts, wholes, strict=True):
        if identity.text != wholes[0].text:
            raise InputError(f"{part} is a part of another run than {parts[0]}: {wholes[0].differing(identity)}")
    merged = Store.open(out, wholes[0])
    try:
        for store in stores:
            _add(merged, store)
        _copy_pngs(merged, stores)
        _keep_notes(merged, stores)
        if all(record.complete for record in merged.records()):
            merged.finish()
    finally:
        merged.release()
        for store in stores:
            store.close()
    return merged


def _add(merged: Store, part: Store) -> None:
    assert part.folder is not None
    counts = {about.subject: about.count for about in Identity.from_json(part.identity).subjects or ()}
    merged.connection.execute("ATTACH DATABASE ? AS part", (str(part.folder / FILE),))
    try:
        for record in part.records():
            for name, cell in record.cells.items():
                images = counts.get(record.subject, record.images)
                to = merged.cell(record.subject, name, record.settings(name), images)
                _copy(merged, part, cell, to)
            merged.flag(record.subject, {**merged.flags_of(record.subject), **record.codes})
    finally:
        merged.connection.execute("DETACH DATABASE part")


def _copy(merged: Store, part: Store, cell: int, to: int) -> None:
    """Copy one cell's outcomes and files of attacked images; refuse where shared images have other verdicts."""
    differ = " OR ".join(f"theirs.{name} != mine.{name}" for name in _VERDICT)
    query = f"SELECT count(*) FROM outcome AS mine JOIN part.outcome AS theirs {_ON} AND ({differ})"
    with plain_errors(merged.folder):
        if merged.connection.execute(query, (to, cell)).fetchone()[0]:
            raise InputError(f"{part.folder} has other verdicts on images that are there already; fix it first")
        shards = [_copied(merged, part, shard.file, to) for shard in part.shards(cell)]
        with merged.transaction():
            columns = ", ".join(COLUMNS)
            merged.connection.execute(
                f"INSERT OR IGNORE INTO outcome (cell, {columns}) SELECT ?, {columns} FROM part.outcome WHERE cell = ?",
                (to, cell),
            )
            for shard, file in zip(part.shards(cell), shards, strict=True):
                row = (to, file, shard.images, shard.sha256)
                merged.connection.execute("INSERT OR REPLACE INTO shard VALUES (?, ?, ?, ?)", row)
            gone = [(to, image) for image in sorted(part.lost(cell))]
            merged.connection.executemany("INSERT OR IGNORE INTO lost VALUES (?, ?)", gone)


def _copied(merged: Store, part: Store, file: str, to: int) -> str:
    assert merged.folder is not None
    assert part.folder is not None
    name = f"images/{to}-{Path(file).name.partition('-')[2]}"
    (merged.folder / "images").mkdir(exist_ok=True)
    try:
        shutil.copyfile(part.folder / file, merged.folder / name)
    except OSError as error:
        raise InputError(f"cannot copy {part.folder / file}: {error.strerror or error}") from None
    return name


def _copy_pngs(merged: Store, parts: Sequence[Store]) -> None:
    """Copy the PNG files of the attacked images, each whole or not at all; their names are the same in every part."""
    for part in parts:
        for path in sorted(part.folder.glob("images/**/*.png")) if part.folder and merged.folder else ():
            assert part.folder is not None
            assert merged.folder is not None
            to = merged.folder / path.relative_to(part.folder)
            partial = to.with_name(f"{to.name}.part")
            try:
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, partial)
                partial.replace(to)
            except OSError as error:
                raise InputError(f"cannot copy {path}: {error.strerror or error}") from None


def _keep_notes(merged: Store, parts: Sequence[Store]) -> None:
    seconds = sum(float(part.notes.get("seconds", 0.0)) for part in parts)
    merged.note(**{**parts[0].notes, "seconds": round(seconds, 3), "parts": len(parts)})
    for part in parts:
        for gallery in sorted(part.folder.glob("gallery-*.safetensors")) if part.folder else ():
            if merged.folder and not (merged.folder / gallery.name).exists():
                shutil.copyfile(gallery, merged.folder / gallery.name)
