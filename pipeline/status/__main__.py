"""Runs the status as a command."""

if __name__ == "__main__":
    from pipeline import signals

    signals.install("eventsift")

    from pipeline.command import console
    from pipeline.status import check

    console.run(check.main)
