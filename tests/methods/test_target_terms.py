"""Sums of methods: the base plays unchanged, terms share its forward pass, names and options mean what they say."""

import dataclasses
import itertools
from types import SimpleNamespace

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file
from support.painted import write_frames
from support.tiny_segmenter import TinySegmenter, random_batches

from polypda.data.cache import FrameCache, NetworkGrid
from polypda.errors import DataError, UsageError
from polypda.methods.contract import SEGMENTER, LossTerm, Method, MethodOptions, Player, Schedule, StepNow
from polypda.methods.registry import METHODS, TERMS, method_class, method_options
from polypda.methods.segmentation import SourceOnly
from polypda.methods.target_terms import combined
from polypda.networks.batch_norm import BatchNormPolicy
from polypda.networks.registry import SegmenterSpec, build_segmenter, load_segmenter
from polypda.networks.weights import save_module
from polypda.training.checkpoints import list_checkpoints
from polypda.training.config import Compute, DataConfig, StageConfig
from polypda.training.engine import Engine
from polypda.training.progress import Silent
from polypda.training.stage import Stage, run_stage

FABRIC = Fabric(accelerator="cpu", devices=1)
SMALL = {"discriminator_width": 4, "discriminator_layers": 3}


def build(name: str, **options):
    torch.manual_seed(0)
    return method_class(name)(TinySegmenter(dropout=0.0).train(), method_options(name, options), steps=10)


def weights(method: Method) -> dict[str, torch.Tensor]:
    return {f"{n}.{k}": v.clone() for n, m in method.modules().items() for k, v in m.state_dict().items()}


def calls_per_step(method: Method, step: int = 0) -> int:
    """Forward passes of the segmenter in one step."""
    calls = []
    hook = method.segmenter.register_forward_hook(lambda *_: calls.append(1))
    Engine(FABRIC, method).step(*random_batches(0), step)
    hook.remove()
    return len(calls)


def test_a_term_of_no_weight_changes_nothing():
    plain, summed = (
        build("adaptsegnet", **SMALL),
        build("adaptsegnet+minent", entropy_weight=0, entropy_weight_aux=0, **SMALL),
    )
    for method in (plain, summed):
        for step in range(3):
            Engine(FABRIC, method).step(*random_batches(step), step)
    after = weights(summed)
    for key, value in weights(plain).items():
        assert torch.allclose(value, after[key], rtol=1e-5, atol=1e-7), key


def test_terms_share_the_methods_forward_pass_of_the_target():
    assert calls_per_step(build("adaptsegnet", **SMALL)) == 2
    assert calls_per_step(build("adaptsegnet+minent", **SMALL)) == 2
    assert calls_per_step(build("source-only+minent")) == 2
    assert calls_per_step(build("fcn-wild+minent", lambda_size=0, discriminator_width=4)) == 2
    assert calls_per_step(build("lsd+minent", update="sequential", generator_width=2, discriminator_width=4)) == 2
    assert calls_per_step(build("fda", robust_entropy_from=1), step=0) == 1
    assert calls_per_step(build("fda", robust_entropy_from=1), step=1) == 2
    assert calls_per_step(build("adaptsegnet+minent+mean-teacher+mic", mask_block=8, **SMALL)) == 4


@pytest.mark.parametrize("waits", [{"gate": 0.999}, {"discriminator_warmup": 5, "gate": 0}])
def test_terms_rest_where_the_methods_segmenter_rests(waits):
    """ADDA's closed gate and warm-up: only the discriminator learns, with a term as without one."""
    method = build("adda+minent", discriminator_width=4, **waits)
    before = weights(method)
    assert calls_per_step(method) == calls_per_step(build("adda", discriminator_width=4, **waits))
    moved = {key for key, value in weights(method).items() if not torch.equal(value, before[key])}
    learnt = {key for key in moved if not key.endswith(("running_mean", "running_var", "num_batches_tracked"))}
    assert learnt and all(key.startswith("discriminator.") for key in learnt)


def test_the_gradients_of_all_parts_add_up():
    source, target = random_batches(2)
    totals = {}
    for name in ("adaptsegnet", "minent", "source-only", "adaptsegnet+minent"):
        method = build(name, **(SMALL if "adaptsegnet" in name else {}))
        total = sum(
            term.weight * term.value
            for losses in method.play(source, target if method.plays_on_target else None, 0)
            for term in losses[SEGMENTER]
        )
        totals[name] = torch.autograd.grad(total, method.players()[0].parameters)
    for both, game, term, supervised in zip(
        totals["adaptsegnet+minent"], totals["adaptsegnet"], totals["minent"], totals["source-only"], strict=True
    ):
        assert torch.allclose(both, game + term - supervised, rtol=1e-4, atol=1e-6)


def test_a_stylized_source_reaches_the_base_method():
    seen = []

    class Watching(SourceOnly):
        def play(self, source, target, step):
            seen.append(source.images.clone())
            yield from super().play(source, target, step)

    kind = combined("watching+fda", Watching, (TERMS["fda"],))
    method = kind(TinySegmenter(), kind.Options(fda_fraction=0.0), steps=3)
    source, target = random_batches(0)
    Engine(FABRIC, method).step(source, target, 0)
    assert not torch.equal(seen[0], source.images)
    assert torch.allclose(seen[0].mean(dim=(2, 3)), target.images.mean(dim=(2, 3)), atol=1e-5)


class Alternating(Method):
    """Plays as FCNs in the Wild does: a rival moves first, seeing the target; then the segmenter, afresh."""

    name = title = paper = "alternating"

    def __init__(self, segmenter, options, *, steps):
        super().__init__(segmenter, options, steps=steps)
        self.scale = torch.nn.Linear(1, 1)
        still = Schedule(10, power=0.0)
        self._players = [
            Player("rival", torch.optim.SGD(self.scale.parameters(), lr=0.1), still),
            Player(SEGMENTER, torch.optim.SGD(segmenter.parameters(), lr=0.1), still),
        ]

    def players(self):
        return self._players

    def modules(self):
        return super().modules() | {"rival": self.scale}

    def play(self, source, target, step):
        first = self.segmenter(target.images).logits["main"].mean().view(1, 1)
        yield {"rival": [LossTerm("rival", self.scale(first).square().sum())]}
        yield StepNow(("rival",))
        again = self.segmenter(target.images).logits["main"].mean().view(1, 1)
        yield {SEGMENTER: [LossTerm("fooled", self.scale(again).sum())]}
        yield StepNow((SEGMENTER,))


def test_terms_join_the_segmenters_losses_not_a_rivals_and_come_before_its_step():
    kind = combined("alternating+minent", Alternating, (TERMS["minent"], TERMS["mean-teacher"]))
    torch.manual_seed(0)
    method = kind(TinySegmenter(), kind.Options(), steps=3)
    yielded = list(method.play(*random_batches(0), 0))
    order = [
        item if isinstance(item, StepNow) else {p: [t.name for t in terms] for p, terms in item.items()}
        for item in yielded
    ]
    assert order == [
        {"rival": ["rival"]},
        StepNow(("rival",)),
        {SEGMENTER: ["fooled", "entropy_aux", "entropy_main"]},
        {SEGMENTER: ["pseudo_label"]},
        StepNow((SEGMENTER,)),
    ]
    Engine(FABRIC, method).step(*random_batches(0), 0)


class SteppingAlone(Alternating):
    """Steps the segmenter itself and never asks for the target."""

    def play(self, source, target, step):
        yield {SEGMENTER: [LossTerm("bright", self.segmenter(source.images).logits["main"].mean())]}
        yield StepNow((SEGMENTER,))


def test_terms_are_not_too_late_for_a_step_that_is_taken_early():
    kind = combined("alone+minent", SteppingAlone, (TERMS["minent"],))
    method = kind(TinySegmenter(), kind.Options(), steps=3)
    kinds = [type(item) for item in method.play(*random_batches(0), 0)]
    assert kinds == [dict, dict, StepNow]


def size_term(**options):
    method = build("size-constraint", **options)
    masks = torch.zeros(2, 64, 64, dtype=torch.long)
    masks[0, :32], masks[1, :16] = 1, 1
    source, target = random_batches(0)
    labelled = dataclasses.replace(source, masks=masks)
    frames = SimpleNamespace(source=lambda: iter([labelled]), target=lambda: iter([target]))
    method.prepare(frames)
    return method, source, target


def test_the_size_term_learns_priors_from_the_source_and_shrinks_what_is_too_large():
    method, source, target = size_term(size_start=1, large_factor=1.0)
    assert method.modules()["size_priors"].statistics[0, :, 1].tolist() == pytest.approx([0.275, 0.375, 0.475])
    with torch.no_grad():
        method.segmenter.main.bias.copy_(torch.tensor([-2.0, 2.0]))  # polyp nearly everywhere
    first, second = ([t.name for m in method.play(source, target, s) for t in m[SEGMENTER]] for s in (0, 1))
    assert "size" not in first and "size" in second
    (term,) = (t for m in method.play(source, target, 1) for t in m[SEGMENTER] if t.name == "size")
    assert term.value > 0
    (slope,) = torch.autograd.grad(term.value, [method.segmenter.main.bias])
    assert slope[1] > 0 > slope[0]  # descending lowers the polyp's logit


def test_no_hook_is_left_behind():
    method = build("adaptsegnet+minent", **SMALL)
    play = method.play(*random_batches(0), 0)
    next(play)
    play.close()  # as after an error in the engine
    assert not method.segmenter._forward_hooks
    Engine(FABRIC, method).step(*random_batches(0), 0)
    assert not method.segmenter._forward_hooks


@pytest.mark.parametrize("base", [name for name, kind in METHODS.items() if kind.takes_terms])
def test_every_sum_has_options_without_collisions(base):
    given = getattr(method_class(base), "term_kinds", ())
    own = method_class(base).Options  # fcn-wild has the size constraint already
    addable = [name for name, term in TERMS.items() if term not in given and not issubclass(own, term.Options)]
    for terms in itertools.combinations(addable, 2):
        kind = method_class("+".join((base, *terms)))
        assert set(kind.Options.model_fields) >= set(method_class(base).Options.model_fields)
        for term in terms:
            assert set(kind.Options.model_fields) >= set(TERMS[term].Options.model_fields)
        kind.Options()


def test_two_different_options_of_one_name_are_a_mistake_found_at_once():
    class Clashing(MethodOptions):
        entropy_weight: str = "heavy"

    class Base(SourceOnly):
        Options = Clashing

    with pytest.raises(TypeError, match="entropy_weight"):
        combined("clashing+minent", Base, (TERMS["minent"],))


def test_options_of_all_parts_are_given_flat():
    options = method_options("adaptsegnet+minent", {"lambda_adv_main": "0.01", "entropy_weight": "0.5"})
    assert options.lambda_adv_main == 0.01 and options.entropy_weight == 0.5
    with pytest.raises(UsageError, match=r"E_METHOD_OPTION.*'entropy_weight'"):
        method_options("adaptsegnet+minent", {"entropy_wait": 1})
    with pytest.raises(UsageError, match=r"E_METHOD_OPTION.*no option 'entropy_weight'"):
        method_options("adaptsegnet", {"entropy_weight": 1})


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("adaptsegnet+minnt", r"E_METHOD_UNKNOWN.*no term 'minnt'.*'minent'"),
        ("adaptsegnt+minent", r"E_METHOD_UNKNOWN.*no method 'adaptsegnt'.*'adaptsegnet'"),
        ("minent+adaptsegnet", r"E_METHOD_COMBINATION.*'adaptsegnet' is a game of its own"),
        ("adabn+minent", r"E_METHOD_COMBINATION.*'adabn'"),
        ("tent+minent", r"E_METHOD_COMBINATION.*'tent'"),
        ("oracle+minent", r"E_METHOD_COMBINATION.*'oracle'"),
        ("minent+minent", r"E_METHOD_COMBINATION.*'minent' twice"),
        ("fcn-wild+size-constraint", r"E_METHOD_COMBINATION.*'size-constraint' twice"),
        ("adaptsegnet+", r"E_METHOD_UNKNOWN.*no term ''"),
    ],
)
def test_sums_that_mean_nothing_are_refused(name, told):
    with pytest.raises(UsageError, match=told):
        method_class(name)


def test_terms_come_first_as_well_and_classes_are_the_same_ones():
    kind = method_class("fda+minent")
    assert kind.base_kind is SourceOnly and kind.term_kinds == (TERMS["fda"], TERMS["minent"])
    assert kind is method_class("fda+minent") and kind.name == "fda+minent"
    assert "FDA" in kind.title and "MinEnt" in kind.title


SPEC = SegmenterSpec(architecture="deeplabv3plus", encoder="tu-mobilenetv3_small_050", levels=2)
NAME = "adaptsegnet+fda+polyp-mix+size-constraint"
OPTIONS = {"discriminator_width": 4, "discriminator_layers": 3, "learning_rate": 1e-2, "robust_entropy_from": 1}


class Crash(Silent):
    """Dies after a step, like a power cut: whatever was not saved is lost."""

    def __init__(self, after: int) -> None:
        self.after = after

    def advance(self, done, report):
        if done > self.after:
            raise KeyboardInterrupt


@pytest.fixture
def stage_of(tmp_path):
    cache = FrameCache(tmp_path / "cache", NetworkGrid(64))
    source = cache.labelled(write_frames(tmp_path / "source", 6, cohort="source"))
    targets = write_frames(tmp_path / "target", 6, cohort="target", tint=(150, 130, 60))
    torch.manual_seed(0)
    save_module(build_segmenter(SPEC), tmp_path / "initial.safetensors")

    def make(folder: str, count: int = 6) -> Stage:
        return Stage(
            name=NAME,
            folder=tmp_path / folder,
            config=StageConfig(
                method=NAME, options=OPTIONS, steps=3, checkpoint_every=1, batch_norm=BatchNormPolicy.FROZEN
            ),
            network=SPEC,
            data=DataConfig(size=64, batch_size=2),
            seed=3,
            labelled=source,
            target=cache.unlabelled(targets[:count]),
            initial=tmp_path / "initial.safetensors",
        )

    return make


def test_resuming_is_bit_exact_and_the_teacher_is_handed_out(stage_of):
    compute = Compute(device="cpu", threads=1)
    whole, cut = stage_of("whole"), stage_of("cut")
    run_stage(whole, compute)
    with pytest.raises(KeyboardInterrupt):
        run_stage(cut, compute, Crash(after=1))
    run_stage(cut, compute)
    ends = [list_checkpoints(stage.folder)[-1].folder for stage in (whole, cut)]
    names = sorted(path.name for path in ends[0].glob("*.safetensors"))
    assert "teacher.safetensors" in names and "size_priors.safetensors" in names
    for name in names:
        one, other = (load_file(end / name) for end in ends)
        assert all(torch.equal(value, other[key]) for key, value in one.items()), name
    assert whole.final_segmenter.name == "teacher.safetensors"
    adapted = load_segmenter(SPEC, whole.final_segmenter)
    student = load_file(ends[0] / "segmenter.safetensors")
    assert any(not torch.equal(value, student[key]) for key, value in adapted.state_dict().items())


def test_a_target_of_one_frame_is_refused_before_the_first_step(stage_of):
    stage = stage_of("single", count=1)
    with pytest.raises(DataError, match="E_TARGET_FRAMES"):
        run_stage(stage, Compute(device="cpu", threads=1))
    assert not list_checkpoints(stage.folder)
