"""The commands that search events."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate.cli.options import Json, Since, run_search

PANEL = "Events"

commands = typer.Typer()


def _complete_query(incomplete: str) -> list[str]:
    from tidegate.settings import SettingsError, load
    from tidegate.store.search.commands import complete

    try:
        return complete(load(), incomplete)
    except SettingsError:
        return []


@commands.command(
    rich_help_panel=PANEL,
    epilog="Example: `tidegate search 'log.level:error AND tidegate.work:heavy' --since 5m`",
)
def search(
    query: Annotated[
        str,
        typer.Argument(
            help="A Lucene query over the events' fields.", autocompletion=_complete_query
        ),
    ] = "",
    since: Since = "1h",
    until: Annotated[str, typer.Option(help="The end of the time range; as --since.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of events.")] = 50,
    as_json: Json = False,
) -> None:
    """Search events."""
    from tidegate.store.search.commands import search as run

    run_search(
        lambda found: run(found, query, since=since, until=until, limit=limit, as_json=as_json)
    )


@commands.command(
    rich_help_panel=PANEL, epilog="Example: `tidegate trace 4bf92f3577b34da6a3ce929d0e0e4736`"
)
def trace(
    trace_id: Annotated[str, typer.Argument(help="32 hexadecimal digits.")], as_json: Json = False
) -> None:
    """Show one request: its spans as a waterfall, and every event of its trace."""
    from tidegate.store.search.commands import trace as run

    run_search(lambda found: run(found, trace_id, as_json=as_json))


@commands.command(
    rich_help_panel=PANEL,
    epilog="Example: `tidegate logs --follow --query 'service.node.name:flights-2'`",
)
def logs(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Continue with new events.")
    ] = False,
    query: Annotated[
        str,
        typer.Option(
            help="A Lucene query over the events' fields.", autocompletion=_complete_query
        ),
    ] = "",
    since: Since = "5m",
    as_json: Json = False,
) -> None:
    """Show events, oldest first."""
    from tidegate.store.search.commands import logs as run

    run_search(lambda found: run(found, query, since=since, follow=follow, as_json=as_json))
