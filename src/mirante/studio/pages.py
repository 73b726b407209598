"""The pages: each a function from a visit to HTML. What is shown is worked out here; how it looks is in templates/."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from mirante import runfolder
from mirante.data.several import parse
from mirante.errors import MiranteError
from mirante.locale import LANGUAGES, Language, language
from mirante.run import Run
from mirante.see.arithmetic import KERNELS
from mirante.studio import answers, augmentation, collections, films, gallery, listing, trainings
from mirante.studio.workspace import Workspace, whole
from mirante.task import own_recipes
from mirante.tasks.classify.decision import learned_of
from mirante.templates import environment
from mirante.training.recipe import names as recipe_names

_LANGUAGE = "mirante_lang"
CHAPTERS = (
    "pixels", "channels", "convolution", "pooling", "network", "training", "augmentation", "probabilities", "mistakes",
)  # fmt: skip


@dataclass(frozen=True)
class Visit:
    """One request: the workspace, the language, the parts of the address, and what follows its question mark."""

    workspace: Workspace
    say: Language
    parts: dict[str, str]
    query: dict[str, str]
    path: str


def visit(request: Request) -> Visit:
    """Return what a request asks, in the person's language."""
    state = request.app.state
    code = request.query_params.get("lang") or request.cookies.get(_LANGUAGE) or state.lang
    say = _language(code if code in LANGUAGES else None)
    parts = {name: str(value) for name, value in request.path_params.items()}
    return Visit(state.workspace, say, parts, dict(request.query_params), request.url.path)


@lru_cache(maxsize=4)
def _language(code: str | None) -> Language:
    return language(code)


def failed(asked: Visit, message: str, status: int) -> Response:
    """Return the page that says in a sentence what is wrong."""
    return _render(asked, "failed.html.j2", status, message=message)


def home(asked: Visit) -> Response:
    """What there is, and where to begin."""
    return _render(
        asked,
        "home.html.j2",
        collections=collections.list_collections(asked.workspace),
        runs=_ranked_runs(asked.workspace),
        running=[
            one
            for one in trainings.list_trainings(asked.workspace)
            if trainings.state(asked.workspace, one) == "running"
        ],
    )


def learn(asked: Visit) -> Response:
    """The chapters."""
    return _render(asked, "learn.html.j2", chapters=CHAPTERS)


def chapter(asked: Visit) -> Response:
    """One chapter."""
    name = asked.parts["chapter"]
    if name not in CHAPTERS:
        return failed(asked, asked.say("There is no page at this address."), 404)
    number = CHAPTERS.index(name)
    return _render(
        asked,
        f"learn-{name}.html.j2",
        chapters=CHAPTERS,
        name=name,
        number=number + 1,
        following=CHAPTERS[number + 1] if number + 1 < len(CHAPTERS) else None,
        runs=asked.workspace.finished_names(),
        collections=collections.list_collections(asked.workspace),
        switches=augmentation.switches(asked.say),
        kernels={kernel: numbers.tolist() for kernel, numbers in KERNELS.items()},
    )


def teach(asked: Visit) -> Response:
    """One page from the first image to a model."""
    return _render(asked, "teach.html.j2")


def data(asked: Visit) -> Response:
    """All collections, and how to open or make one."""
    return _render(asked, "data.html.j2", collections=collections.list_collections(asked.workspace))


def collection(asked: Visit) -> Response:
    """One collection: its classes, its images, what is wrong with them."""
    one = collections.read_collection(asked.workspace, asked.parts["name"])
    try:
        found = listing.listing(one)
    except MiranteError as error:
        found = listing.Listing((), (), dict.fromkeys(one.classes, 0), (), 0)
        problem: str | None = asked.say.told(error)
    else:
        problem = None
    return _render(
        asked,
        "collection.html.j2",
        one=one,
        listing=found,
        problem=problem,
        lead=described(one, found, asked.say),
    )


def described(one: collections.Collection, found: listing.Listing, say: Language) -> str:
    """Return how many images a collection has, of how many classes or labels, and how large they are, in a sentence."""
    if one.several:
        count, left = say.number(len(found.items)), say.number(found.unlabelled)
        text = say(
            "{count} images with {classes} labels, {left} not labelled yet",
            count=count,
            classes=len(found.counts),
            left=left,
        )
    else:
        total = say.number(sum(found.counts.values()))
        text = say("{count} images in {classes} classes", count=total, classes=len(found.counts))
    shorter = sorted(min(item.height, item.width) for item in found.items)
    if not shorter:
        return text
    if shorter[0] == shorter[-1]:
        return text + say(", {side} pixels on the shorter side", side=shorter[0])
    return text + say(", {low} to {high} pixels on the shorter side", low=shorter[0], high=shorter[-1])


def check(asked: Visit) -> Response:
    """What the data check finds in a collection, one finding at a time."""
    return _render(asked, "check.html.j2", one=collections.read_collection(asked.workspace, asked.parts["name"]))


def train(asked: Visit) -> Response:
    """What to train on, with which recipe, for how long; and what is under way."""
    under_way = [(one, trainings.state(asked.workspace, one)) for one in trainings.list_trainings(asked.workspace)]
    return _render(
        asked,
        "train.html.j2",
        collections=collections.list_collections(asked.workspace),
        chosen=asked.query.get("collection", ""),
        recipes=[
            name for name in recipe_names() if name not in own_recipes()
        ],  # those for other tasks are for the command line
        trainings=[(one, state) for one, state in under_way if state != "finished"],
    )


def training(asked: Visit) -> Response:
    """One training: how it goes."""
    one = trainings.read(asked.workspace, asked.parts["name"])
    return _render(asked, "training.html.j2", one=one, state=trainings.state(asked.workspace, one))


def results(asked: Visit) -> Response:
    """All runs, to choose one."""
    return _render(asked, "results.html.j2", runs=_ranked_runs(asked.workspace))


def result(asked: Visit) -> Response:
    """One run: its figures, its confusion matrix, and its answers, to be filtered; for one that reads texts, its report."""
    run = asked.workspace.run(asked.parts["name"])
    if not Run(run).info.asks.has_pages:
        return RedirectResponse(f"/results/{quote(run.name, safe='')}/report", 303)
    opened = answers.open_run(run)
    found = opened.metrics
    if opened.model.asks.several_labels:
        thresholds = {name: one["threshold"] for name, one in found["labels"].items() if not one["rare"]}
        wanted = _filter(asked.query, several=True)
        return _render(
            asked, "result-labels.html.j2", name=run.name, metrics=found, thresholds=thresholds, wanted=wanted
        )
    matrix = found["confusion"]
    return _render(
        asked,
        "result.html.j2",
        name=opened.path.name,
        opened=opened,
        metrics=found,
        card=answers.card(opened, asked.say),
        positive=found["positive"] if found["positive"] in found["classes"] else found["classes"][0],
        threshold=learned_of(opened.info).threshold or 0.5,
        matrix=[[(count, count / max(1, sum(row))) for count in row] for row in matrix],
        wanted=_filter(asked.query),
        page=asked.query.get("page", "0"),
    )


def use(asked: Visit) -> Response:
    """What became of a model in use: its log beside its test images."""
    from mirante.experiment.model_versions import earlier_models
    from mirante.monitoring.page import content
    from mirante.studio import use as in_use

    name = asked.parts["name"]
    path = asked.workspace.run(name)
    known = in_use.logs(asked.workspace, name)
    wanted = {one: asked.query.get(one, "") for one in ("log", "version", "every", "since", "labels")}
    shown: dict[str, Any] = {"found": None}
    problem = None
    if wanted["log"].strip():
        try:
            shown = content(in_use.look(asked.workspace, name, wanted), asked.say)
        except MiranteError as error:
            problem = asked.say.told(error)
    elif known:
        wanted["log"] = known[0]
    about: dict[str, Any] = {
        "name": name,
        "pages": Run(path).info.asks.has_pages,
        "logs": known,
        "earlier": list(earlier_models(path)),
    }
    return _render(asked, "use.html.j2", wanted=wanted, problem=problem, **about, **shown)


def versions(asked: Visit) -> Response:
    """The models that a run has and had, side by side."""
    from mirante.experiment.model_versions import versions as list_versions

    run = Run(asked.workspace.run(asked.parts["name"]))
    return _render(
        asked, "versions.html.j2", name=run.path.name, pages=run.info.asks.has_pages, versions=list_versions(run)
    )


def image_map(asked: Visit) -> Response:
    """A map of a run's test images."""
    run = asked.workspace.run(asked.parts["name"])
    return _render(asked, "map.html.j2", name=run.name, classes=Run(run).info.classes)


def image(asked: Visit) -> Response:
    """One test image: its answer, its path, its heat map, its neighbours."""
    opened = answers.open_run(asked.workspace.run(asked.parts["name"]))
    one = answers.find(opened, int(asked.parts["row"]))
    shares = sorted(zip(opened.info.classes, one.probabilities, strict=True), key=lambda pair: -pair[1])[:20]
    answer, label, has = one.predicted, one.label, {shares[0][0]}
    if opened.model.asks.several_labels:
        has = set(parse(one.predicted)[0])
        answer, label = answers.in_words(one.predicted, asked.say), answers.in_words(one.label, asked.say)
    return _render(
        asked,
        "image.html.j2",
        name=opened.path.name,
        one=one,
        answer=answer,
        label=label,
        has=has,
        shares=shares,
        classes=opened.info.classes,
        chosen=shares[0][0] if opened.model.asks.several_labels else one.predicted,
        several=opened.model.asks.several_labels,
    )


def report(asked: Visit) -> Response:
    """The report of a run, which has its own, stricter policy."""
    path = runfolder.require_file(asked.workspace.run(asked.parts["name"]), runfolder.REPORT)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
    return HTMLResponse(path.read_bytes(), headers={"content-security-policy": policy})


def predict(asked: Visit) -> Response:
    """Ask a model about new images."""
    names = asked.workspace.finished_names()
    chosen = asked.query.get("run", "")
    return _render(
        asked,
        "predict.html.j2",
        runs=names,
        chosen=chosen if chosen in names else (names[0] if names else ""),
        films=films.list_films(asked.workspace),
    )


def film(asked: Visit) -> Response:
    """A film that was shown to a model: its timeline, to be corrected."""
    one = films.read(asked.workspace, asked.parts["name"])
    info = films.info_of(asked.workspace, one)
    several = info is not None and info.asks.several_labels
    teachable = info is not None and info.asks.is_taught
    classes = () if info is None else info.classes
    return _render(asked, "film.html.j2", one=one, classes=classes, several=several, teachable=teachable)


def photos(asked: Visit) -> Response:
    """Folders of photos that were opened, and how to open one."""
    galleries, runs = gallery.list_galleries(asked.workspace), asked.workspace.finished_names()
    return _render(asked, "photos.html.j2", galleries=galleries, runs=runs)


def review(asked: Visit) -> Response:
    """Questions about photos, one key each."""
    one = gallery.read(asked.workspace, asked.parts["name"])
    page = "review-labels.html.j2" if gallery.asks_labels(one) else "review.html.j2"
    return _render(asked, page, one=one, classes=gallery.classes_of(one))


def given_answers(asked: Visit) -> Response:
    """What was said about photos, to be looked at and changed."""
    one = gallery.read(asked.workspace, asked.parts["name"])
    return _render(asked, "answers.html.j2", one=one, several=gallery.asks_labels(one))


def groups(asked: Visit) -> Response:
    """Photos grouped by what they show."""
    return _render(asked, "groups.html.j2", one=gallery.read(asked.workspace, asked.parts["name"]))


def compare(asked: Visit) -> Response:
    """The ranking of the runs that were tested on the same images."""
    from mirante.experiment.compare import compare as rank

    names = asked.workspace.finished_names()
    chosen = [name for name in asked.query.get("runs", "").split("|") if name in names]
    ranked, problem = [], None
    if len(chosen) > 1:
        try:
            ranked = rank([asked.workspace.run(name) for name in chosen])
        except MiranteError as error:
            problem = asked.say.told(error)
    return _render(asked, "compare.html.j2", names=names, chosen=chosen, ranked=ranked, problem=problem)


def _ranked_runs(workspace: Workspace) -> list[dict[str, Any]]:
    found = []
    for name in workspace.finished_names():
        try:
            metrics = Run(workspace.runs / name).metrics
            found.append(
                {
                    "name": name,
                    "accuracy": metrics["accuracy"],
                    "images": metrics["images"],
                    "classes": metrics["classes"],
                    "several": Run(workspace.runs / name).info.asks.several_labels,
                }
            )
        except (MiranteError, KeyError):
            continue
    return found


def _filter(query: dict[str, str], several: bool = False) -> answers.Filter:
    def share(name: str, usual: float) -> float:
        try:
            return min(1.0, max(0.0, float(query.get(name, "")) / 100))
        except ValueError:
            return usual

    right = {"right": True, "wrong": False}.get(query.get("answer", ""))
    return answers.Filter(
        query.get("label", ""), query.get("predicted", ""), right, share("least", 0.0), share("most", 1.0), several
    )


def wanted_answers(query: dict[str, str], several: bool) -> tuple[answers.Filter, int]:
    """Return the filter and the page that an address asks for; `several` labels or one class."""
    return _filter(query, several), max(0, whole(query.get("page", "0")))


PAGES: dict[str, Callable[[Visit], Response]] = {
    "/": home,
    "/learn": learn,
    "/learn/{chapter}": chapter,
    "/teach": teach,
    "/data": data,
    "/data/{name}": collection,
    "/data/{name}/check": check,
    "/train": train,
    "/train/{name}": training,
    "/results": results,
    "/results/{name}": result,
    "/results/{name}/map": image_map,
    "/results/{name}/use": use,
    "/results/{name}/versions": versions,
    "/results/{name}/images/{row:int}": image,
    "/results/{name}/report": report,
    "/predict": predict,
    "/films/{name}": film,
    "/photos": photos,
    "/photos/{name}/review": review,
    "/photos/{name}/answers": given_answers,
    "/photos/{name}/groups": groups,
    "/compare": compare,
}


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    made = environment("mirante.studio/templates", "mirante.monitoring")
    made.filters["part"] = lambda text: quote(str(text), safe="")
    return made


def _render(asked: Visit, template: str, status: int = 200, **values: Any) -> Response:
    page = _environment().get_template(template)
    room = asked.path.strip("/").partition("/")[0] or "home"
    other = next(code for code in LANGUAGES if code != asked.say.code)
    html = page.render(say=asked.say, room=room, path=asked.path, other=other, site=False, **values)
    response = HTMLResponse(html, status)
    if "lang" in asked.query and asked.query["lang"] in LANGUAGES:
        response.set_cookie(_LANGUAGE, asked.query["lang"], max_age=31_536_000, samesite="strict")
    return response
