"""A study in W&B: one run of the study's group that holds its table, page and curves. A mirror, as everything there is."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from finecomb.core.errors import ConfigError, Problem
from finecomb.studies.analysis.frames import CONFIRM
from finecomb.studies.report import tables
from finecomb.studies.report.report import ReportTable

JOB_TYPE = "summary"


def log(report: ReportTable, folder: Path, *, project: str, entity: str | None, mode: Any) -> None:
    """Log table, costs, learning curves and report.html as one W&B run, whose id is the study's content: logged twice, it is one run.

    folder: of the study's results; an offline run is written to wandb/ beside it. mode: online or offline.
    """
    import wandb

    content = hashlib.sha256(tables.csv(report.frames).encode()).hexdigest()[:12]
    name = report.frames.facts.name
    place = folder.parent / "wandb"
    place.mkdir(exist_ok=True)
    os.environ.setdefault("WANDB_DATA_DIR", str(place / "data"))
    settings = wandb.Settings(console="off", silent=True, save_code=False, disable_job_creation=True, x_disable_stats=True)
    run: Any = wandb.init(
        id=f"{name}-{content}"[:64], resume="allow", project=project, entity=entity, group=name, job_type=JOB_TYPE, name=f"{name} summary",
        dir=str(folder.parent), mode=mode, reinit="create_new", settings=settings, config={"question": report.frames.facts.question},
    )  # fmt: skip
    try:
        run.log(_tables(report) | {"report": wandb.Html(str(folder / "report.html"), inject=False)})
    finally:
        run.finish(exit_code=0)
        wandb.teardown(0)


def _tables(report: ReportTable) -> dict[str, Any]:
    import wandb

    found: dict[str, Any] = {}
    for grid in report.grids:
        header, *rows = tables.plain_table(grid)
        found[f"tables/{grid.title}"] = wandb.Table(columns=[name or "arm" for name in header], data=[list(row) for row in rows])
    curves = report.frames.curves
    curves = curves[(curves["role"] == CONFIRM) & (curves["name"] != "train/loss")]
    if len(curves):
        columns = ["column", "arm", "seed", "step", "name", "value"]
        found["learning_curves"] = wandb.Table(columns=columns, data=curves[columns].astype(object).values.tolist())
    return found


def push_report(table: ReportTable, *, project: str, entity: str | None) -> str:
    """Make a W&B report with the runs of the study, by the package wandb-workspaces; returns its address. Only ever on request.

    Raises ConfigError when the package is missing or W&B refuses.
    """
    try:
        import wandb_workspaces.reports.v2 as reports  # type: ignore[import-not-found]
    except ImportError as error:
        what = "a W&B report needs the package wandb-workspaces, which is not installed"
        raise ConfigError(Problem(what, "--wandb-report", hint="pip install wandb-workspaces")) from error
    facts = table.frames.facts
    try:
        runset = reports.Runset(project=project, entity=entity, filters=f"Group == '{facts.name}'")
        metric = facts.columns[0].metric
        panels = [
            reports.LinePlot(y=[f"validation/{metric}"], groupby="job_type"),
            reports.BarPlot(metrics=[f"test/{metric}"], groupby="job_type"),
        ]
        blocks = [reports.H1(facts.name), reports.P(facts.question), reports.PanelGrid(runsets=[runset], panels=panels)]
        blocks.append(reports.MarkdownBlock(table.to_markdown()))
        report = reports.Report(project=project, entity=entity, title=facts.name, blocks=blocks)
        report.save()
    except Exception as error:  # the package raises what its server says, in many kinds
        raise ConfigError(
            Problem(f"W&B did not take the report: {error}", "--wandb-report", hint="wandb login, and check logger.entity")
        ) from error
    return str(report.url)
