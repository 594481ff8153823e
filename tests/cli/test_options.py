"""Every option reaches every surface that has its group."""

import inspect
from dataclasses import fields
from fractions import Fraction

import pytest
from typer.main import get_command

import maskvfi
from maskvfi.cli.main import app
from maskvfi.errors import OptionError
from maskvfi.options import (
    FrameOptions,
    MaskVideoOptions,
    Options,
    ProtectOptions,
    option_fields,
    parse_pairs,
    parse_rate,
)

COMMANDS = {
    "interpolate": Options,
    "batch": Options,
    "compare": Options,
    "mask": MaskVideoOptions,
    "pair": FrameOptions,
    "protect": ProtectOptions,
    "bench": FrameOptions,
}
CALLS = {
    maskvfi.interpolate: Options,
    maskvfi.compare: Options,
    maskvfi.mask_video: MaskVideoOptions,
    maskvfi.pair: FrameOptions,
    maskvfi.protect: ProtectOptions,
}


@pytest.mark.parametrize(("command", "group"), COMMANDS.items(), ids=COMMANDS)
def test_every_field_is_an_option_of_the_command(command, group):
    flags = {flag for each in get_command(app).commands[command].params for flag in each.opts}
    assert {f"--{each.name.replace('_', '-')}" for each in fields(group)} <= flags


@pytest.mark.parametrize(("call", "group"), CALLS.items(), ids=[call.__name__ for call in CALLS])
def test_every_field_is_an_argument_of_the_call(call, group, tmp_path):
    """A wrong name is refused with the names there are; all these are fields, and the call takes any."""
    parameters = inspect.signature(call).parameters
    assert parameters["options"].default is None
    needed = [name for name, each in parameters.items() if each.default is each.empty][:-1]
    with pytest.raises(OptionError, match="there is no option 'nonsense'") as error:
        call(*(tmp_path / name for name in needed), nonsense=1)
    assert all(each.name in str(error.value) for each in fields(group))


def test_every_field_is_in_a_batch_and_in_what_a_resumed_run_compares(tmp_path):
    pytest.importorskip("ray")
    from maskvfi.batch.run import batch
    from maskvfi.pipeline.fingerprint import facts_of

    assert inspect.signature(batch).parameters["options"].annotation == "Options | None"
    (tmp_path / "in.mp4").write_bytes(b"anything")
    facts = facts_of(tmp_path / "in.mp4", Options(), {}, [])
    assert set(facts["options"]) == {each.name for each in fields(Options)}


def test_every_field_has_help_and_its_default_is_one_of_its_choices():
    for each in option_fields(Options):
        assert each.help.endswith((".", ")"))
        assert not each.choices or each.default in each.choices


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"factor": 0}, "factor must be a whole number of at least 1, not 0"),
        ({"factor": 2.5}, "factor must be a whole number of at least 1, not 2.5"),
        ({"factor": float("inf")}, "factor must be a whole number of at least 1, not inf"),
        ({"factor": "9" * 401}, f"factor must be a whole number of at least 1, not '{'9' * 401}'"),
        (
            {"fps": "1e9999999999"},
            "frame rate must be a number or a fraction such as 60000/1001, not '1e9999999999'",
        ),
        ({"crf": 10**400}, f"crf must be a number in 0..63, not {10**400}"),
        ({"factor": 2, "fps": 60}, "give a factor or a frame rate, not both"),
        ({"fps": "soon"}, "frame rate must be a number or a fraction such as 60000/1001, not 'soon'"),
        ({"slow": -2}, "slow must be positive, not -2"),
        ({"start": -1}, "start must not be negative, not -1"),
        ({"feather": 0.7}, "feather must be a number in 0..0.5, not 0.7"),
        ({"threshold": 1}, "threshold must lie between 0 and 1, not 1"),
        ({"static": "never"}, "static must be one of fade, nearest, not 'never'"),
        (
            {"tile": "9" * 5000},
            f"tile must be auto, off or a number of pixels of at least 512, not {'9' * 5000!r}",
        ),
        ({"start": 2, "end": 2}, "end must be after start, not 2 s"),
        ({"tile": 100}, "tile must be auto, off or a number of pixels of at least 512, not 100"),
        ({"scene_cut": "0"}, "scene_cut must be \"off\" or a threshold above 0, not '0'"),
        ({"scene_cut": "x"}, 'scene_cut must be "auto", "off" or a threshold, not \'x\''),
    ],
    ids=str,
)
def test_a_wrong_value_is_one_line(values, message):
    with pytest.raises(OptionError) as error:
        Options.of(None, values)
    assert str(error.value) == message


def test_pairs_are_read_as_they_are_typed():
    assert parse_pairs("encoder_options", [" tune=film ", "x265-params=a=1:b=2"]) == {
        "tune": "film",
        "x265-params": "a=1:b=2",
    }
    with pytest.raises(OptionError, match=r"^encoder_options takes KEY=VALUE, not '=film'$"):
        parse_pairs("encoder_options", ["=film"])


def test_values_mean_the_same_however_they_are_written():
    assert Options(mask="off") == Options(mask=None)
    assert Options(fps="59.94") == Options(fps="60000/1001")
    assert Options(start=1, tile="512") == Options(start="1", tile=512)
    assert Options.of(Options(factor=3), {"codec": "ffv1"}) == Options(factor=3, codec="ffv1")


@pytest.mark.parametrize("group", [Options, MaskVideoOptions, ProtectOptions])
def test_equal_options_have_one_hash(group):
    assert hash(group(crf=20, encoder_options={"g": "1"})) == hash(group(crf=20, encoder_options={"g": "1"}))
    assert len({group(), group(), group(crf=20)}) == 2


def test_what_the_encoder_is_told():
    asked = Options(crf=20, preset="slow", encoder_options={"tune": "film"})
    assert asked.for_encoder == {"crf": "20", "preset": "slow", "tune": "film"}


@pytest.mark.parametrize(
    ("rate", "means"),
    [
        (1.0, 1),
        ("2.0", 2),
        (24.0, 24),
        ("23.976", Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        ("12.5", 12.5),
    ],
)
def test_decimals_near_ntsc_rates_mean_these_and_whole_numbers_themselves(rate, means):
    assert parse_rate(rate) == means


@pytest.mark.parametrize(
    "values",
    [
        {"loop": "off"},
        {"codec": 5},
        {"encoder_options": "crf=1"},
        {"strict": "no"},
        {"preset": 3},
        {"vfi": None},
        {"mask": True},
        {"protect": 5},
        {"release": ""},
    ],
)
def test_a_value_of_another_type_is_refused(values):
    (name,) = values
    with pytest.raises(OptionError, match=f"{name} must be"):
        maskvfi.Options(**values)
