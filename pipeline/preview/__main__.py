"""Runs the plan as a command."""

if __name__ == "__main__":
    from pipeline import imports, signals

    signals.install("eventsift")
    imports.quieten()

    from pipeline.command import console
    from pipeline.preview import command

    console.run(command.main)
