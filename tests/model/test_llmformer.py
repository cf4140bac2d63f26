"""LLMFormer's equations by hand, and that every switch changes what it should, nothing else."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace

import pytest
import torch
from support.small_clip import SMALL
from torch import Tensor, nn

from lsmseg_model.data.descriptions import Described, Description
from lsmseg_model.errors import ConfigError
from lsmseg_model.networks.backbones.load import build_backbone
from lsmseg_model.networks.base import Batch
from lsmseg_model.networks.fields import read_fields
from lsmseg_model.networks.llmformer.attention import (
    Attention,
    Maps,
    RelationAttention,
    ScaledVisualAttention,
    SemanticAttention,
    between_masks,
)
from lsmseg_model.networks.llmformer.config import (
    RELATIONS,
    SCALES,
    SEMANTIC,
    LlmFormerOptions,
)
from lsmseg_model.networks.llmformer.decoder import Masks, sine_positions
from lsmseg_model.networks.llmformer.losses import (
    Targets,
    mask_costs,
    match,
    set_loss,
    targets_of,
)
from lsmseg_model.networks.llmformer.network import LlmFormer
from lsmseg_model.networks.llmformer.priors import Phrases, Priors, read_priors

OPTIONS = LlmFormerOptions(width=8, queries=5, layers=2, heads=2)
LN3 = 1.0986123
"""Of two scores that differ by it the softmax is 3/4 and 1/4."""
TINY = 1e-9
"""What is zero is not there."""
TOLD = Description(
    (Described("car", ("tiny", "red")), Described("road"), Described("sky", ("blue",))),
    ((0, "on", 1), (2, "above", 1)),
)
PLAIN = Description((Described("car"), Described("road")))
EMPTY = Description()


def network(**changes: object) -> LlmFormer:
    torch.manual_seed(0)
    return LlmFormer(build_backbone(SMALL), replace(OPTIONS, **changes)).eval()


@pytest.fixture(scope="module")
def features() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(2, 8, 4, 4)


def masks_of(features: Tensor, *told: Description, **changes: object) -> Masks:
    """The last masks of a fresh network; its parameters do not depend on the changes."""
    with torch.no_grad():
        return network(**changes).masks(features, told)[-1]


def same(one: Masks, other: Masks) -> bool:
    return torch.allclose(one.masks, other.masks, atol=1e-5) and torch.allclose(
        one.classes, other.classes, atol=1e-5
    )


def plain_projections(module: nn.Module) -> None:
    """Every linear map of an attention is the identity, every norm does nothing."""
    attention: Attention = module.attention  # type: ignore[assignment]
    for layer in (attention.query, attention.key, attention.value, attention.out):
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    module.norm = nn.Identity()


# -- (a) semantic attention --------------------------------------------------------------


def told_of_two() -> Priors:
    """Two objects in two channels, the first with an attribute."""
    objects = torch.tensor([[[LN3, 0.0], [0.0, TINY]]])
    attributes = torch.tensor([[[0.0, 6.0], [0.0, 0.0]]])
    return Priors(objects, attributes, torch.zeros(1, 1, 2, 2))


def semantic(kind: str) -> SemanticAttention:
    module = SemanticAttention(LlmFormerOptions(width=4, heads=1, semantic=kind))
    module.types = nn.Parameter(torch.zeros(2, 2))
    module.attention = Attention(2, 1)
    plain_projections(module)
    return module


QUERY = torch.tensor([[[2**0.5, 0.0]]])
"""Scores of the object vectors: sqrt(2) LN3 / sqrt(2) = LN3 and 0."""


def test_semantic_attention_by_hand() -> None:
    """Scores LN3, 0 and 0 (the attribute): 3/5, 1/5, 1/5; 3/5 (LN3, 0) + 1/5 (0, 6)."""
    queries, weights = semantic("cross")(QUERY, told_of_two())
    assert weights[0].tolist() == [pytest.approx([0.6, 0.2])]
    assert queries[0, 0].tolist() == pytest.approx([2**0.5 + 0.6 * LN3, 1.2])


def test_semantic_alternatives_by_hand() -> None:
    queries, weights = semantic("objects")(QUERY, told_of_two())  # 3/4, 1/4
    assert weights[0].tolist() == [pytest.approx([0.75, 0.25])]
    assert queries[0, 0].tolist() == pytest.approx([2**0.5 + 0.75 * LN3, 0], abs=1e-6)
    queries, weights = semantic("add")(QUERY, told_of_two())  # the mean of three vectors
    assert weights[0].tolist() == [pytest.approx([1 / 3, 1 / 3])]
    assert queries[0, 0].tolist() == pytest.approx([2**0.5 + LN3 / 3, 2])
    # The query too is a key, with score sqrt(2) and e^sqrt(2) = 4.113250: of 9.113250 in all.
    queries, weights = semantic("concat")(QUERY, told_of_two())
    assert weights[0].tolist() == [pytest.approx([3 / 9.113250, 1 / 9.113250])]
    queries, weights = semantic("none")(QUERY, told_of_two())
    assert weights.abs().sum() == 0 and torch.equal(queries, QUERY)


# -- (b) scaled visual attention ---------------------------------------------------------


def visual(kind: str, layer: int = 0, **changes: object) -> ScaledVisualAttention:
    module = ScaledVisualAttention(
        LlmFormerOptions(width=4, heads=1, scales=kind, **changes), layer
    )
    module.attention = Attention(1, 1)
    plain_projections(module)
    module.select = nn.Identity()
    return module


SCORES = torch.tensor([[[LN3, 0.0, 0.0, -20.0]]])
"""As scale scores: 3/5, 1/5, 1/5, 0."""


def test_scale_scores_by_hand() -> None:
    other = torch.zeros(1, 1, 4)
    assert visual("attributes").scores(other, SCORES)[0, 0].tolist() == pytest.approx(
        [0.6, 0.2, 0.2, 0], abs=1e-6
    )
    assert visual("none").scores(SCORES, other)[0, 0, 0] == pytest.approx(0.6)
    assert visual("one").scores(SCORES, SCORES)[0, 0].tolist() == [0, 1, 0, 0]
    turns = [int(visual("round_robin", at).scores(SCORES, SCORES).argmax()) for at in range(5)]
    assert turns == [3, 2, 1, 0, 3]


def test_hard_selection_is_for_tests_alone() -> None:
    module = visual("attributes", selection="hard")
    assert module.train().scores(SCORES, SCORES)[0, 0, 0] == pytest.approx(0.6)
    assert module.eval().scores(SCORES, SCORES)[0, 0].tolist() == [1, 0, 0, 0]


def test_visual_attention_by_hand() -> None:
    """Maps of 2, 1, 1 and 1 positions; in the first the query gives 3/4 and 1/4."""
    values = torch.tensor([[[LN3], [0.0], [10.0], [20.0], [40.0]]])
    maps = Maps(values, values, [2, 1, 1, 1], torch.zeros(1, 1, 5, dtype=torch.bool))
    query, nowhere = torch.ones(1, 1, 1), torch.zeros(1, 1)
    queries, scales = visual("attributes")(query, nowhere, SCORES, maps)
    assert queries.item() == pytest.approx(1 + 0.6 * 0.75 * LN3 + 0.2 * 10 + 0.2 * 20, abs=1e-4)
    assert scales.shape == (1, 1, 4)
    hidden = replace(maps, outside=torch.tensor([[[False, True, False, False, False]]]))
    queries, _ = visual("attributes")(query, nowhere, SCORES, hidden)
    assert queries.item() == pytest.approx(1 + 0.6 * LN3 + 6, abs=1e-4)


def test_a_query_is_what_its_objects_attributes_are() -> None:
    """a_q = A_sem e_att reaches the scores: without attributes all queries have one score."""
    torch.manual_seed(3)
    seen = torch.randn(1, 8, 4, 4)
    assert masks_of(seen, PLAIN).scales.std(dim=1).max() < 1e-6
    assert masks_of(seen, TOLD).scales.std(dim=1).max() > 1e-6


def test_positions_by_hand() -> None:
    """Two rows and one column: rates 1 and 1/100, angles pi and 2 pi; the columns' is 2 pi."""
    found = sine_positions((2, 1), 8)
    assert found.shape == (2, 8)
    assert found[0, :4].tolist() == pytest.approx([0, 0.0314108, -1, 0.9995066], abs=1e-5)
    assert found[1, :4].tolist() == pytest.approx([0, 0.0627905, 1, 0.9980267], abs=1e-5)
    assert torch.equal(found[0, 4:], found[1, 4:])


# -- (c) relation attention --------------------------------------------------------------


def test_relations_between_masks_by_hand() -> None:
    """R has one relation, 4, of object 0 to object 1; query 0 is both, query 1 is object 1."""
    weights = torch.tensor([[[0.5, 0.25], [0.0, 1.0]]])
    graph = torch.tensor([[[[0.0, 4.0], [0.0, 0.0]]]])
    assert between_masks(weights, graph)[0, 0].tolist() == [[0.5, 2.0], [0.0, 0.0]]
    weights.requires_grad_(True)
    found = between_masks(weights, graph, hard=True)  # query 0 is object 0
    assert found[0, 0].tolist() == [[0.0, 4.0], [0.0, 0.0]]
    found.sum().backward()  # 4 times the columns' sums: what object 1 and object 0 are to others
    assert weights.grad is not None and weights.grad.tolist() == [[[4.0, 4.0], [4.0, 4.0]]]
    assert between_masks(torch.zeros(1, 2, 2), graph, hard=True).abs().sum() == 0


@pytest.mark.parametrize(("kind", "mine"), [("both", 0.9), ("plain", 0.75), ("prior", 0.75)])
def test_relation_attention_by_hand(kind: str, mine: float) -> None:
    """Two queries 1 and 0 (scores LN3 and 0 from the first), and a bias of LN3 to the first."""
    module = RelationAttention(LlmFormerOptions(width=4, heads=1, relations=kind))
    module.attention = Attention(1, 1)
    plain_projections(module)
    queries = torch.tensor([[[LN3**0.5], [0.0]]])
    weights, graph = torch.tensor([[[1.0], [1.0]]]), torch.tensor([[[[LN3]]]])
    graph = torch.tensor([[[[LN3, 0.0], [0.0, 0.0]]]])
    weights = torch.eye(2)[None]
    found = module(queries, torch.zeros(2, 1), weights, graph)
    assert found[0, 0].item() == pytest.approx((1 + mine) * LN3**0.5, abs=1e-5)


# -- (d) heads and losses ----------------------------------------------------------------


def test_semantic_map_by_hand() -> None:
    """Two queries: of class 0 by 3/4 (void 1/4), and of classes alike (void almost nothing)."""
    built = network()
    built.class_logits = lambda classes, texts: torch.tensor(  # type: ignore[method-assign]
        [[[LN3, -30.0, 0.0], [0.0, 0.0, -30.0]]]
    )
    masks = torch.tensor([[[[0.0, LN3]], [[LN3, 0.0]]]])  # 1/2, 3/4; 3/4, 1/2
    found = built.semantic_map(torch.zeros(1), masks, torch.zeros(1))
    assert found[0, 0, 0].tolist() == pytest.approx([0.75 / 2 + 0.75 / 2, 0.75**2 + 0.25])
    assert found[0, 1, 0].tolist() == pytest.approx([0.75 / 2, 0.25])
    logits, kept = built.decode((torch.zeros(1), masks, []), torch.zeros(1))
    assert kept is None and torch.allclose(logits, (found + 1e-6).log())


def test_class_logits_are_cosines_by_tau() -> None:
    built = network()
    built.scale.data = torch.tensor(2.0).log()
    built.void.data = torch.tensor([0.0, 3.0] + [0.0] * 6)
    text = torch.tensor([[1.0] + [0.0] * 7])
    found = built.class_logits(torch.tensor([[[0.6, 0.8] + [0.0] * 6]]), text)
    assert found[0, 0].tolist() == pytest.approx([1.2, 1.6])


def test_targets_are_the_classes_that_are_there() -> None:
    labels = torch.tensor([[[2, 2], [0, -1]], [[-1, -1], [-1, -1]]])
    found = targets_of(labels, (2, 2))
    assert found.classes.tolist() == [[0, 2], [-1, -1]]
    assert found.masks.tolist() == [[[0, 0, 1, 0], [1, 1, 0, 0]], [[0] * 4, [0] * 4]]
    assert found.labelled.tolist() == [[1, 1, 1, 0], [0, 0, 0, 0]]
    large = labels.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
    assert torch.equal(targets_of(large, (2, 2)).masks, found.masks)


def test_mask_costs_by_hand() -> None:
    """A mask of 3/4 and 1/4 against (1, 0); the third pixel is unlabelled.

    BCE: both pixels -ln 3/4. Dice: 1 - (2 * 3/4 + 1) / (1 + 1 + 1).
    """
    target = Targets(
        torch.tensor([[0]]), torch.tensor([[[1.0, 0, 0]]]), torch.tensor([[1.0, 1, 0]])
    )
    bce, dice = mask_costs(torch.tensor([[[LN3, -LN3, 50.0]]]), target)
    assert bce.item() == pytest.approx(0.2876821) and dice.item() == pytest.approx(1 / 6)


def test_matching_by_hand() -> None:
    """The cheapest pair, 1, would force 9: 2 + 3 is less. The second picture has one target."""
    cost = torch.tensor([[[1.0, 2.0], [3.0, 9.0], [8.0, 8.0]], [[5.0, 0], [4.0, 0], [6.0, 0]]])
    found = match(cost, torch.tensor([[7, 8], [7, -1]]))
    assert found.tolist() == [[1, 0], [1, -1]]


def test_what_is_not_a_number_reaches_the_loss() -> None:
    target = Targets(torch.tensor([[0]]), torch.tensor([[[1.0, 0.0]]]), torch.ones(1, 2))
    loss = set_loss(torch.zeros(1, 2, 2), torch.full((1, 2, 2), torch.nan), target, OPTIONS)
    assert loss.isnan().all()


def test_loss_by_hand() -> None:
    """One target, class 0, and two queries; the first fits.

    CE: weights 1 and 0.1, -ln 3/4 and (void at 1/4) -ln 1/4; BCE and dice of the first as above,
    with two pixels.
    """
    masks = torch.tensor([[[LN3, -LN3], [-9.0, 9.0]]])
    logits = torch.tensor([[[LN3, 0.0], [LN3, 0.0]]])
    target = Targets(torch.tensor([[0]]), torch.tensor([[[1.0, 0.0]]]), torch.ones(1, 2))
    entropy = (0.2876821 + 0.1 * 1.3862944) / 1.1
    loss = set_loss(logits, masks, target, OPTIONS)
    assert loss.tolist() == pytest.approx([2 * entropy + 5 * 0.2876821 + 5 / 6], rel=1e-5)
    only = [set_loss(logits, masks, target, replace(OPTIONS, **{f"{n}_weight": 0.0})).item()
            for n in ("class", "mask", "dice")]  # fmt: skip
    assert [loss.item() - x for x in only] == pytest.approx([2 * entropy, 5 * 0.2876821, 5 / 6])


def test_a_mask_on_unlabelled_pixels_is_not_called_void() -> None:
    masks = torch.tensor([[[LN3, -LN3, -9.0, -9.0], [-9.0, -9.0, 9.0, 9.0]]])
    target = Targets(
        torch.tensor([[0]]), torch.tensor([[[1.0, 0, 0, 0]]]), torch.tensor([[1.0, 1, 0, 0]])
    )
    likely, unlikely = (torch.tensor([[[LN3, 0.0], [x, 0.0]]]) for x in (0.0, 9.0))
    assert torch.equal(*(set_loss(x, masks, target, OPTIONS) for x in (likely, unlikely)))


def test_scipy_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ConfigError, match=r"needs scipy: pip install \"lsmseg-prompts\[data\]\""):
        match(torch.zeros(1, 1, 1), torch.zeros(1, 1, dtype=torch.int64))


def test_training_loss_adds_up_over_labelled_pixels() -> None:
    """A mean over pictures, times the labelled pixels; unlabelled pictures add none."""
    built = network().train()
    torch.manual_seed(5)
    texts = torch.nn.functional.normalize(torch.randn(3, 8), dim=-1)
    images, labels = torch.rand(2, 3, 16, 16), torch.randint(-1, 3, (2, 16, 16))
    told = [TOLD, EMPTY]

    def loss(images: Tensor, labels: Tensor, told: list[Description]) -> Tensor:
        return built.training_loss(Batch(images, labels, texts, descriptions=told))

    means = [loss(images[[i]], labels[[i]], [told[i]]) / (labels[i] >= 0).sum() for i in (0, 1)]
    both = loss(images, labels, told) / (labels >= 0).sum()
    assert both.item() == pytest.approx(sum(m.item() for m in means) / 2, rel=1e-4)
    labels[1] = -1
    assert loss(images, labels, told).item() == pytest.approx(
        means[0].item() * int((labels >= 0).sum()), rel=1e-4
    )
    both.backward()
    silent = {n for n, p in built.named_parameters() if p.requires_grad and p.grad is None}
    assert silent == set() and all(p.grad is None for p in built.clip.parameters())


# -- priors ------------------------------------------------------------------------------


def test_priors_by_their_phrases() -> None:
    clip = build_backbone(SMALL)
    found = read_priors([TOLD, PLAIN], clip, Phrases())
    car, tiny, red, on = clip.encode_texts(
        [["a photo of a car"], ["tiny car"], ["red car"], ["on"]]
    )
    assert torch.equal(found.objects[0, 0], car) and torch.equal(found.objects[1, 0], car)
    assert torch.allclose(found.attributes[0, 0], (tiny + red) / 2)
    assert torch.equal(found.relations[0, 0, 1], on)
    twice = Description(PLAIN.objects, ((0, "on", 1), (0, "above", 1)))
    mean = clip.encode_texts([["on"], ["above"]]).mean(dim=0)
    assert torch.allclose(read_priors([twice], clip, Phrases()).relations[0, 0, 1], mean)
    there = (found.relations != 0).any(dim=-1)
    assert there.nonzero().tolist() == [[0, 0, 1], [0, 2, 1]]
    assert found.attributes[0, 1].abs().sum() == found.objects[1, 2].abs().sum() == 0


def test_phrases_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clip, phrases = build_backbone(SMALL), Phrases()
    first = phrases(clip, ["a", "b", "a"])
    monkeypatch.setattr(clip, "encode_texts", lambda texts: pytest.fail(f"read again: {texts}"))
    assert phrases(clip, ["b"])["b"].equal(first["b"])


def test_padding_changes_nothing(features: Tensor) -> None:
    """Beside a picture with more objects, and alone."""
    both = masks_of(features, PLAIN, TOLD)
    for at, told in enumerate((PLAIN, TOLD)):
        alone = masks_of(features[[at]], told)
        assert torch.allclose(both.masks[at], alone.masks[0], atol=1e-5)
        assert torch.allclose(both.classes[at], alone.classes[0], atol=1e-5)


def test_the_order_of_objects_does_not_matter(features: Tensor) -> None:
    one = masks_of(features[:1], TOLD)
    for order in itertools.permutations(range(3)):
        moved = Description(
            tuple(TOLD.objects[at] for at in order),
            tuple((order.index(a), word, order.index(b)) for a, word, b in TOLD.relations),
        )
        other = masks_of(features[:1], moved)
        assert same(one, other)
        assert torch.allclose(one.semantic[..., list(order)], other.semantic, atol=1e-6)


def test_nothing_told_is_none(features: Tensor) -> None:
    with torch.no_grad():
        silent = network().masks(features)[-1]
    assert same(silent, masks_of(features, EMPTY, EMPTY))
    assert not same(silent, masks_of(features, TOLD, TOLD))


# -- switches ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "kinds"), [("semantic", SEMANTIC), ("scales", SCALES), ("relations", RELATIONS)]
)
def test_every_alternative_is_another_network_of_equal_parameters(
    field: str, kinds: tuple[str, ...], features: Tensor
) -> None:
    found = [masks_of(features, TOLD, TOLD, **{field: kind}) for kind in kinds]
    assert not any(same(a, b) for i, a in enumerate(found) for b in found[:i])
    sizes = {sum(p.numel() for p in network(**{field: kind}).parameters()) for kind in kinds}
    assert len(sizes) == 1


def test_without_priors_all_ways_of_telling_are_one(features: Tensor) -> None:
    found = [masks_of(features, EMPTY, EMPTY, semantic=kind) for kind in SEMANTIC]
    assert all(same(found[0], other) for other in found[1:])


def test_without_relations_both_is_plain(features: Tensor) -> None:
    told = replace(TOLD, relations=())
    both, plain = (masks_of(features, told, told, relations=r) for r in ("both", "plain"))
    assert same(both, plain)
    assert not same(both, masks_of(features, TOLD, TOLD))


def test_the_hard_mapping_is_of_relations_alone(features: Tensor) -> None:
    soft, hard = (masks_of(features, TOLD, TOLD, mapping=m) for m in ("soft", "hard"))
    assert not same(soft, hard)
    for told, relations in ((replace(TOLD, relations=()), "both"), (TOLD, "plain")):
        soft, hard = (
            masks_of(features, told, told, mapping=m, relations=relations) for m in ("soft", "hard")
        )
        assert same(soft, hard)


def test_without_attributes_objects_alone_is_cross(features: Tensor) -> None:
    """Then there is nothing else to ask."""
    told = replace(PLAIN, relations=())
    one, other = (masks_of(features, told, told, semantic=s) for s in ("cross", "objects"))
    assert same(one, other)


@pytest.mark.parametrize(
    ("scales", "attends"), [("attributes", True), ("none", False), ("one", False)]
)
def test_attributes_choose_the_scale_where_they_should(
    scales: str, attends: bool, features: Tensor
) -> None:
    """Of `objects` the queries learn nothing of attributes: only the scale scores do."""
    other = replace(TOLD, objects=(Described("car", ("huge",)), *TOLD.objects[1:]))
    one, two = (
        masks_of(features, told, told, scales=scales, semantic="objects") for told in (TOLD, other)
    )
    assert torch.allclose(one.scales, two.scales) != attends


# -- as a network ------------------------------------------------------------------------


def test_views_encoded_apart_are_those_encoded_together() -> None:
    built = network()
    torch.manual_seed(2)
    images = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        together = built.encode(images, [TOLD, PLAIN])
        parts = [built.encode(images[[i]], [told]) for i, told in enumerate((TOLD, PLAIN))]
        assert together[1].shape == (2, 5, 8, 8) and together[2][0].shape == (2, 5, 4)
        for at in (0, 1):
            assert torch.allclose(
                together[at],
                torch.cat([p[at] for p in parts]),
                atol=1e-5,  # type: ignore[arg-type]
            )
        logits, kept = built.decode(together, built.clip.encode_texts([["a"], ["b"], ["c"]]))
    assert logits.shape == (2, 3, 8, 8) and kept is None and bool((logits < 1).all())


def test_the_backbone_stays_frozen() -> None:
    built = network()
    built.trainable("freeze")
    assert not any(p.requires_grad for p in built.clip.parameters())
    with pytest.raises(ConfigError, match="stays frozen: clip is 'qv'"):
        built.trainable("qv")


@pytest.mark.parametrize("wrong", [{"width": 10}, {"width": 12, "heads": 8}])
def test_widths_that_do_not_divide(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"must be a multiple of 4 and of the heads"):
        read_fields(LlmFormerOptions, wrong, "test")


def test_the_figure_of_an_options_file() -> None:
    given_ = {"semantic": "add", "selection": "hard", "void_weight": 0}
    assert read_fields(LlmFormerOptions, given_, "test") == LlmFormerOptions(
        semantic="add", selection="hard", void_weight=0
    )
    with pytest.raises(ConfigError, match="semantic is 'crass'; did you mean cross"):
        read_fields(LlmFormerOptions, {"semantic": "crass"}, "test")
