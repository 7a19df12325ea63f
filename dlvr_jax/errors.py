"""What a user can mend: shown as plain lines, never as a traceback."""


class UserError(Exception):
    """One or more faults, each a line that says what is wrong, where, and what to do.

    Raised anywhere below `experiments/`, caught once there: each fault is printed as `error: ...`, exit code 1.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
