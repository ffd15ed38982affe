"""What measuring took, in facts and words. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ravine.diagnostics.watch.recorder import Account
from ravine.report import words
from ravine.report.records import Caption
from ravine.report.run.records import Costs


def costs(accounts: Mapping[str, Account]) -> Costs | None:
    """One row for each instrument, the dearest first; None without accounts."""
    if not accounts:
        return None
    total = sum(account.spent for account in accounts.values())
    ordered = sorted(accounts.items(), key=lambda item: -item[1].spent)
    rows = tuple(
        (
            name.replace("_", " "),
            f"{account.measurements:,}",
            words.duration(account.spent),
            f"{account.spent / total:.0%}" if total > 0 else "",
            _note(account),
        )
        for name, account in ordered
    )
    title = f"Measuring took {words.duration(total)} in all"
    if total > 0:
        dearest, account = ordered[0]
        title += f", {account.spent / total:.0%} of it for {dearest.replace('_', ' ')}"
    failed = sum(account.failure is not None for account in accounts.values())
    title += f"; {words.plural(failed, 'instrument')} failed." if failed else "."
    reading = (
        "An instrument measures when it has saved the time for it out of a share of the run's own. One "
        "that fails rests from then on; the run does not notice."
    )
    return Costs(Caption(title, reading, title), rows)


def _note(account: Account) -> str:
    if account.failure is not None:
        return f"failed: {account.failure}"
    return "" if account.measurements else "never came due"
