"""How does one ask a store from a shell? `segengine COMMAND`, one file per command.

`app` lists the commands, `outcome` is what the shell learns, `options` what several commands
take, `show` and `plain` what people and programs read. Nothing heavy is imported before a
command needs it.
"""


def main() -> None:
    """Run the command line of this process; ends the process with its exit status."""
    from segengine.cli.app import run

    run()


__all__ = ["main"]
