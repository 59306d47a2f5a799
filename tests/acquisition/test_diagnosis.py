import pytest

from jkbms_addon.acquisition.diagnosis import PATIENCE, REASONS, Diagnosis, mbap, repeated
from jkbms_addon.wire.pb.modbus import page_request

LATE = PATIENCE + 1


def patient(*chunks: bytes, polling: bool = True, tcp: bool = False, gap: float = 0.5) -> Diagnosis:
    diagnosis = Diagnosis(polling=polling, tcp=tcp, started=0.0)
    for n, chunk in enumerate(chunks):
        diagnosis.chunk(chunk, n * gap)
    return diagnosis


ECHO = page_request(1, 0x1620)
NW = bytes.fromhex("4e57001300000000060300000000000068000001 29".replace(" ", ""))
MODBUS_TCP = bytes.fromhex("000100000003018302")


@pytest.mark.parametrize(
    ("diagnosis", "sample", "reason"),
    [
        (patient(), b"", "nothing_polled"),
        (patient(polling=False), b"", "nothing_heard"),
        (patient(tcp=True), b"", "nothing_gateway"),
        (patient(*[b"\xff" * 20] * 4), b"\xff" * 64, "flood"),
        (patient(*[b"\x7f\xff\xfe" * 9] * 4), b"", "flood"),
        (patient(*[bytes(range(n, n + 40)) for n in range(4)]), b"x" * 64, "garbage"),
        (patient(NW, polling=False), NW, "legacy"),
        (patient(MODBUS_TCP, tcp=True), MODBUS_TCP, "modbus_tcp"),
        (patient(*[b"alive"] * 4, tcp=True), b"alive" * 4, "heartbeat"),
    ],
)
def test_a_cause_from_the_bytes(diagnosis: Diagnosis, sample: bytes, reason: str) -> None:
    assert diagnosis.reason(LATE, sample) == reason
    assert diagnosis.reason(PATIENCE - 1, sample) is None  # too early to tell


def test_only_our_echo() -> None:
    diagnosis = patient(*[ECHO] * 5)
    diagnosis.echoes = 5
    assert diagnosis.reason(LATE) == "echo"


def test_damaged_frames() -> None:
    diagnosis = patient(*[b"\x55\xaa\xeb\x90" + bytes(60)] * 3)
    diagnosis.damaged = 3
    assert diagnosis.reason(LATE) == "damaged"


def test_all_is_well_while_frames_come() -> None:
    diagnosis = patient(*[b"\xff" * 20] * 4)
    diagnosis.frame(1, 1000, 8)
    assert diagnosis.reason(LATE) is None


def test_two_masters_only_matter_to_who_polls() -> None:
    for polling, reason in ((True, "two_masters"), (False, None)):
        diagnosis = Diagnosis(polling=polling, started=0.0, foreign=1.0)
        diagnosis.frame(1, 1000, 1.0)
        assert diagnosis.reason(2.0) == reason


def test_two_running_times_that_take_turns_are_two_units() -> None:
    diagnosis = Diagnosis(polling=True, started=0.0)
    for n in range(8):
        diagnosis.frame(1, (5_000 if n % 2 else 900_000) + 2 * n, 2.0 * n)
        diagnosis.frame(2, 777_000 + 2 * n, 2.0 * n)
    assert diagnosis.duplicates == {1}
    assert diagnosis.troubles() == {1: str(REASONS["duplicate"])}
    for n in range(8, 16):
        diagnosis.frame(1, 5_000 + 2 * n, 2.0 * n)
    assert diagnosis.troubles() == {}


def test_a_restarted_bms_is_no_duplicate() -> None:
    diagnosis = Diagnosis(polling=True, started=0.0)
    for n in range(8):
        diagnosis.frame(1, 900_000 + 2 * n if n < 4 else 10 + 2 * n, 2.0 * n)
    assert diagnosis.duplicates == set()


def test_packets_of_gateways() -> None:
    assert mbap(MODBUS_TCP)
    assert not mbap(ECHO)
    assert not repeated([ECHO] * 5)  # a master repeats its questions
    assert not repeated([b"\xff\xff"] * 5)
    assert repeated([b"\x01\x02\x03", b"x", b"\x01\x02\x03", b"\x01\x02\x03"])


@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)
def test_each_reason_is_one_line_that_says_what_to_do(reason: object) -> None:
    text = str(reason)
    assert "\n" not in text
    assert len(text) < 400
    assert text.count(": ") >= 1
    assert "in the app" not in text  # there are two: this one, and JK's on the phone


def test_a_master_whose_questions_are_heard_whole_speaks_our_protocol() -> None:
    diagnosis = patient(
        *[page_request(n, 0x1620) + b"\x55\xaa" + bytes(range(60)) for n in range(1, 15)], polling=False
    )
    diagnosis.last_short = 13.0
    assert diagnosis.reason(2 * PATIENCE - 1) is None  # one damaged frame in a cycle is not the end
    diagnosis.last_short = 2 * PATIENCE
    assert diagnosis.reason(2 * PATIENCE + 1) == "unanswered"
    diagnosis.damaged = 1
    assert diagnosis.reason(2 * PATIENCE + 1) == "damaged"
    diagnosis.last_short = None
    assert diagnosis.reason(LATE) == "damaged"


def test_half_a_frame_and_then_silence_is_silence() -> None:
    diagnosis = patient(b"\x55\xaa\xeb\x90" + bytes(range(40)), b"x" * 30)
    assert diagnosis.reason(PATIENCE + 2) == "nothing_polled"
    diagnosis.chunk(b"y" * 30, PATIENCE + 2)
    assert diagnosis.reason(PATIENCE + 3) == "garbage"


def test_what_came_before_a_good_frame_is_no_evidence() -> None:
    diagnosis = patient(*[bytes(range(40))] * 3)
    diagnosis.frame(1, 1000, 2.0)
    diagnosis.unanswered(2.0)
    assert diagnosis.reason(LATE + 2) == "nothing_polled"


def test_a_program_that_was_stopped_blames_nobody() -> None:
    diagnosis = patient()

    def looks(now: float) -> str | None:
        diagnosis.awake(now)
        return diagnosis.reason(now)

    assert looks(1.0) is None
    assert looks(60.0) is None  # it did not look meanwhile
    assert [looks(60.0 + n) for n in range(8)][-1] is None
    assert looks(68.0) == "nothing_polled"
