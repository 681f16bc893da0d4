"""Merging of the records of one run that was split into parts."""

import shutil
from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path

from quantattack.errors import InputError
from quantattack.record.bounds import insert_bounds, read_bounds
from quantattack.record.checksums import keep_sum, stored, sum_of
from quantattack.record.file import FILE, plain_errors
from quantattack.record.identity import Identity
from quantattack.record.outcome import COLUMNS, Shard
from quantattack.record.shards import checksum, name_of, path_of
from quantattack.record.store import Store
from quantattack.record.writing import cannot_write, written_whole

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
                record.by_attack[name].outcomes  # noqa: B018  read once, so that what is damaged is not copied
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
        shards = [_copied(merged, part, shard) for shard in part.shards(cell)]
        with merged.transaction():
            columns = ", ".join(COLUMNS)
            merged.connection.execute(
                f"INSERT OR IGNORE INTO outcome (cell, {columns}) SELECT ?, {columns} FROM part.outcome WHERE cell = ?",
                (to, cell),
            )
            keep_sum(merged.connection, to, sum_of(stored(merged.connection, to)))
            for shard in shards:
                merged.connection.execute("INSERT OR REPLACE INTO shard VALUES (?, ?, ?, ?)", (to, *astuple(shard)))
            gone = [(to, image) for image in sorted(part.lost(cell))]
            merged.connection.executemany("INSERT OR IGNORE INTO lost VALUES (?, ?)", gone)
            insert_bounds(merged.connection, to, read_bounds(part.connection, cell))


def _copied(merged: Store, part: Store, shard: Shard) -> Shard:
    """Copy a file of attacked images under the name that its content gives it, so that no other file has it."""
    assert merged.folder is not None
    assert part.folder is not None
    source, name = path_of(part.folder, shard.file), name_of(shard.sha256)
    (merged.folder / name).parent.mkdir(exist_ok=True)
    _copied_whole(source, merged.folder / name)
    if checksum(merged.folder / name) != shard.sha256:
        (merged.folder / name).unlink()
        raise InputError(f"{source} has another checksum than when it was written; restore it, or do the part again")
    return replace(shard, file=name)


def _copied_whole(source: Path, path: Path) -> None:
    with written_whole(path) as copy:
        try:
            shutil.copyfile(source, copy)
        except OSError as error:
            raise InputError(f"cannot copy {source}: {error.strerror or error}") from None


def _copy_pngs(merged: Store, parts: Sequence[Store]) -> None:
    """Copy the PNG files of the attacked images, each whole or not at all; their names are the same in every part."""
    for part in parts:
        for path in sorted(part.folder.glob("images/**/*.png")) if part.folder and merged.folder else ():
            assert part.folder is not None
            assert merged.folder is not None
            to = merged.folder / path.relative_to(part.folder)
            try:
                to.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise cannot_write(to, error) from None
            _copied_whole(path, to)


def _keep_notes(merged: Store, parts: Sequence[Store]) -> None:
    seconds = sum(float(part.notes.get("seconds", 0.0)) for part in parts)
    merged.note(**{**parts[0].notes, "seconds": round(seconds, 3), "parts": len(parts)})
    for part in parts:
        for gallery in sorted(part.folder.glob("gallery-*.safetensors")) if part.folder else ():
            if merged.folder and gallery.is_file() and not (merged.folder / gallery.name).exists():
                _copied_whole(gallery, merged.folder / gallery.name)
