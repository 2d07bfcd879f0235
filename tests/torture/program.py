"""The program, which kills itself where a plan says.

`python -m tests.torture.program serve …` is the real command line. Imports nothing at its top:
every worker process imports it again.
"""


def main() -> None:
    from imgsvc.cli.main import cli
    from tests.torture.arming import arm

    arm()
    cli()


if __name__ == "__main__":
    main()
