"""Options that are made of the configuration's fields, and a file of them; nothing is trained here."""

import json

import pytest

from polypda.cli.adapt import adapt_command
from polypda.cli.configuration import chosen_options, command_with_options
from polypda.errors import UsageError
from polypda.options import options_of
from polypda.training.config import AdaptConfig
from polypda.workflows.runs.launch import configuration
from polypda.workflows.runs.presets import PRESETS


def resolved(*words):
    context = command_with_options(adapt_command).make_context("adapt", [*words, "--cache-dir", "cache"])
    options = context.params
    return configuration(
        options,
        source=options["source"],
        target=options["target"],
        method=options["method"] or "adaptsegnet",
        method_options=chosen_options(context),
    )


@pytest.fixture
def file(tmp_path):
    def write(text):
        (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
        return ["--config", str(tmp_path / "run.yaml")]

    return write


PAIR = "source: zju2\ntarget: haining\n"


def test_every_marked_field_is_an_option_with_its_words_and_what_decides_it(polypda):
    status, out, err = polypda("adapt", "--help")
    assert status == 0, err
    shown = " ".join(out.replace("│", " ").split())
    for known in options_of(AdaptConfig):
        assert f"--{known.name.replace('_', '-')}" in shown.replace("…", ""), known.name
    for panel in ("Options", "Run", "Training", "Compute"):
        assert f"─ {panel} ─" in out
    assert "at least 32" in shown and f"{PRESETS['quick']['data']['size']} quick" in shown
    assert "resize, letterbox" in shown and "teacher-agreement" in shown


def test_a_file_gives_what_the_command_line_leaves_out(file):
    words = file(
        PAIR
        + """\
method: adaptsegnet
seed: 7
batch-size: 2
size: 64
encoder_weights: none
guard: false
target_labels: true
inference: scales=1,flips=yes
options: {lambda_adv_main: 0.5, ramp: 3}
"""
    )
    config = resolved(*words)
    assert (config.seed, config.data.batch_size, config.data.size, config.guard) == (7, 2, 64, False)
    assert config.inference.flips and config.inference.scales == (1.0,)
    assert config.options["lambda_adv_main"] == 0.5 and config.options["ramp"] == 3
    wins = resolved(*words, "--seed", "8", "--guard", "--no-target-labels", "-O", "ramp=9", "--size", "96")
    assert (wins.seed, wins.guard, wins.target_labels, wins.data.size) == (8, True, False, 96)
    assert wins.options["ramp"] == 9 and wins.options["lambda_adv_main"] == 0.5


@pytest.mark.parametrize("text", ["log_to: [tensorboard, mlflow]", "log_to: tensorboard"])
def test_an_option_that_is_repeated_is_a_list_in_a_file(file, text):
    words = file(PAIR + text)
    assert resolved(*words).log_to == ("tensorboard", "mlflow")[: 1 + ("[" in text)]
    assert resolved(*words, "--log-to", "mlflow", "--log-to", "mlflow").log_to == ("mlflow",)
    assert resolved(*file(PAIR)).log_to == ()


def test_a_tracker_that_cannot_be_had_is_told_at_once(polypda):
    pair = ("--source", "zju2", "--target", "haining", "--phantom")
    status, _, err = polypda("adapt", *pair, "--log-to", "tensorbord")
    assert status == 2 and "E_LOGGER_UNKNOWN" in err and "Did you mean 'tensorboard'?" in err
    status, _, err = polypda("adapt", *pair, "--mlflow-uri", "http://host:5000")
    assert status == 2 and "E_OPTION: --mlflow-uri would be ignored" in err


def test_what_nobody_gave_is_the_presets_or_the_fields(file):
    config = resolved(*file(PAIR))
    standard = PRESETS["standard"]
    assert (config.data.size, config.adapt_steps) == (standard["data"]["size"], standard["adapt_steps"])
    assert config.seed == 0 and config.guard and not config.oracle


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sise: 64", "'sise' is no option. Did you mean 'size'?"),
        ("option: [a=1]", "'option' is no option. Did you mean 'options'?"),
        ("size: [64]", "'size' is no single value"),
        ("- size", "holds no names"),
        ("a: [", "cannot be read"),
        ("options: 3", "no names with values"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_with_the_nearest_name(file, text, says):
    with pytest.raises(UsageError, match="E_CONFIG_FILE") as caught:
        resolved(*file(text))
    assert says in str(caught.value)


def test_an_option_of_a_file_that_would_be_ignored_is_refused(polypda, file):
    status, _, err = polypda("adapt", *file("size: 64"), "--resume", "run")
    assert status == 2 and "--size" in err and "would be ignored" in err
    status, _, err = polypda("matrix", "--pairs", "zju2/haining", "--dry-run", *file("seed: 3"))
    assert status == 2 and "--seed cannot be given: the matrix decides it" in err


def test_a_record_of_an_earlier_version_is_read_with_types():
    config = resolved(
        "--source", "zju2", "--target", "haining", "-O", "lambda_adv_main=0.5", "-O", "learning_rate=1e-3"
    )
    record = json.loads(config.model_dump_json())
    assert record["options"]["lambda_adv_main"] == 0.5 and record["supervised"]["learning_rate"] == 1e-3
    record["options"]["lambda_adv_main"], record["supervised"]["learning_rate"] = "0.5", "1e-3"
    assert AdaptConfig.model_validate(record) == config
    assert AdaptConfig.model_validate(record).of_method.learning_rate == 1e-3
