"""The one registry of what a key does: bindings, footer, help, palette, commands, refusals, CLI twins come from it.

Pure: no textual here, so that `pdctl keys` prints it cheaply. An action `x` is handled by the method `action_x` of the
screen it belongs to, or else of the app.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from pdctl.tui.views import VIEWS


class Danger(StrEnum):
    """What an action does to the cluster. MUTATING and DESTRUCTIVE are refused where nothing may be changed;
    DESTRUCTIVE asks for the name of a protected cluster."""

    SAFE = "safe"
    MUTATING = "mutating"
    DESTRUCTIVE = "destructive"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that an operator can ask for. `keys` in textual's names; `scope`: ids of screens, empty: everywhere.

    `twin` is the command that does the same without a terminal; `{subject}` stands for what is selected. `words` are
    its `:` command and aliases, the first is shown. `footer`: whether the bottom line has room for it.
    """

    id: str
    title: str
    keys: tuple[str, ...]
    about: str
    danger: Danger = Danger.SAFE
    scope: frozenset[str] = frozenset()
    twin: str = ""
    words: tuple[str, ...] = ()
    footer: bool = False

    def on(self, screen: str) -> bool:
        """Whether it is there on that screen."""
        return not self.scope or screen in self.scope


TABLES: Final = frozenset({"nodes", "health", "activity"})
NODES: Final = frozenset({"nodes", "node"})
ADVISOR: Final = frozenset({"advisor"})
LOGS: Final = frozenset({"logs"})
PLAN: Final = frozenset({"plan"})

_GO: Final = tuple(
    Action(f"go_{view.id}", view.title, (view.key,), view.about, twin=view.twin, words=(view.id, *view.words))
    for view in VIEWS
    if view.key
)

ACTIONS: Final[tuple[Action, ...]] = (
    *_GO,
    Action(
        "move",
        "Move",
        ("m",),
        "move the slots of the selected row (Advisor: the first on the way to the best split) to another pool, as a "
        "plan that is shown first",
        Danger.DESTRUCTIVE,
        NODES | ADVISOR,
        "pdctl move {subject} --to POOL",
        ("move",),
        footer=True,
    ),
    Action(
        "drain",
        "Drain",
        ("d",),
        "take them out of service and hold them there",
        Danger.DESTRUCTIVE,
        NODES,
        "pdctl drain {subject}",
        ("drain",),
        footer=True,
    ),
    Action(
        "undrain",
        "Undrain",
        ("u",),
        "take the hold away and bring them back",
        Danger.MUTATING,
        NODES,
        "pdctl undrain {subject}",
        ("undrain",),
    ),
    Action(
        "restart",
        "Restart",
        ("r",),
        "relaunch the instances, one of a role at a time",
        Danger.DESTRUCTIVE,
        NODES,
        "pdctl restart {subject}",
        ("restart",),
        footer=True,
    ),
    Action(
        "check_node",
        "Check",
        ("c",),
        "check the nodes now, and show what is found on this one",
        scope=frozenset({"node"}),
        twin="pdctl check {subject}",
        footer=True,
    ),
    Action(
        "open_logs",
        "Logs",
        ("l",),
        "follow the logs of the selected row",
        scope=NODES | {"matrix"},
        twin="pdctl logs -f {subject}",
        footer=True,
    ),
    Action(
        "level_up",
        "Back",
        ("escape",),
        "leave this screen, clear the filter, or go back to the observed workload",
        scope=NODES | ADVISOR | {"activity", "run"},
    ),
    Action(
        "filter",
        "Filter",
        ("slash",),
        "show only matching rows: `pool:decode ttft>800ms !ready`",
        scope=TABLES,
        footer=True,
    ),
    Action("sort_next", "Sort", ("s",), "sort by the next column", scope=TABLES, footer=True),
    Action("sort_reverse", "Reverse", ("S",), "turn the order round", scope=TABLES),
    Action("rows", "Rows", ("v",), "rows are nodes, slots or instances", scope=frozenset({"nodes"}), footer=True),
    Action(
        "cancel",
        "Cancel",
        ("x", "escape"),
        "leave the plan; of a run under way, ask whether to cancel it",
        scope=PLAN,
        footer=True,
    ),
    Action("background", "Leave", ("b",), "leave this screen; a run goes on", scope=PLAN, footer=True),
    Action("log_follow", "Follow", ("f",), "show the newest lines as they come, or stay", scope=LOGS, footer=True),
    Action(
        "log_search",
        "Search",
        ("slash",),
        "look for text; capitals matter where some are typed",
        scope=LOGS,
        footer=True,
    ),
    Action("log_next", "Next", ("n",), "the next line that matches", scope=LOGS, footer=True),
    Action("log_previous", "Previous", ("N",), "the match before", scope=LOGS),
    Action(
        "log_level", "Level", ("e",), "hide lines below a level: all, info, warning, error", scope=LOGS, footer=True
    ),
    Action("log_wrap", "Wrap", ("W",), "long lines go on in the next row, or are cut", scope=LOGS),
    Action("log_copy", "Copy", ("c",), "copy the line, or those selected with shift and arrows", scope=LOGS),
    Action("log_units", "Units", ("i",), "choose whose logs are shown", scope=LOGS, footer=True),
    Action(
        "canary",
        "Canary",
        ("c",),
        "send a tiny request through every pair, now",
        scope=frozenset({"matrix"}),
        twin="pdctl canary",
        words=("canary",),
        footer=True,
    ),
    Action(
        "recheck",
        "Check",
        ("r",),
        "check all nodes again, now",
        scope=frozenset({"health"}),
        twin="pdctl check",
        words=("check", "recheck"),
        footer=True,
    ),
    Action(
        "passed",
        "Passed",
        ("p",),
        "show also what passed, or no more",
        scope=frozenset({"health"}),
        twin="pdctl check -v",
        footer=True,
    ),
    Action("rank", "Rank", ("a",), "rank again, now", scope=ADVISOR, twin="pdctl advise", words=("rank",), footer=True),
    Action(
        "what_if",
        "What if",
        ("i",),
        "rank another workload: `isl=8192 osl=1024 rate=2`, also with other targets",
        scope=ADVISOR,
        twin="pdctl advise --isl TOKENS --osl TOKENS --rate PER_SECOND",
        words=("whatif",),
        footer=True,
    ),
    Action(
        "objective",
        "Objective",
        ("o",),
        "rank by goodput, latency or throughput",
        scope=ADVISOR,
        twin="pdctl advise --objective latency",
        words=("objective",),
        footer=True,
    ),
    Action("window", "Window", ("w",), "take figures over 10, 60 or 300 seconds", words=("window",)),
    Action("pause", "Freeze", ("space",), "freeze what is shown; a recording pauses", words=("pause",)),
    Action("step_back", "Back", ("left_square_bracket",), "one snapshot back, and stand still"),
    Action("step_on", "On", ("right_square_bracket",), "one snapshot on, and stand still"),
    Action("minute_back", "Minute back", ("left_curly_bracket",), "a minute back"),
    Action("minute_on", "Minute on", ("right_curly_bracket",), "a minute on"),
    Action("play_slower", "Play slower", ("less_than_sign",), "play a recording slower"),
    Action("play_faster", "Play faster", ("greater_than_sign",), "play a recording faster"),
    Action("seek", "Seek", (), "go to a time: `:seek 03:14`, `:seek -90s`, `:seek +5m`", words=("seek",)),
    Action("show_run", "Run", ("R",), "show the run under way, or the last one", words=("run",)),
    Action("slower", "Slower", ("minus",), "look at the cluster less often"),
    Action("faster", "Faster", ("plus", "equals_sign"), "look at the cluster more often"),
    Action("copy_command", "Copy", ("y",), "copy the command that shows or does the same", words=("copy",)),
    Action(
        "export_csv",
        "Save",
        ("ctrl+s",),
        "write this view to files: table as CSV, picture as SVG",
        words=("save", "csv"),
    ),
    Action("next_theme", "Theme", ("t",), "the next theme", words=("theme",)),
    Action("last_view", "Last", ("backspace",), "the view before this one"),
    Action("palette", "Palette", ("ctrl+p",), "find an action by its name"),
    Action("command", "Command", ("colon",), "type an action's name", footer=True),
    Action("help", "Help", ("question_mark", "f1"), "all keys of this screen", words=("help",), footer=True),
    Action("quit", "Quit", ("q", "ctrl+c"), "leave; what runs on the nodes runs on", words=("quit", "q"), footer=True),
)

_BY_ID: Final = {action.id: action for action in ACTIONS}
KEY_NAMES: Final = {
    "slash": "/", "colon": ":", "question_mark": "?", "minus": "-", "plus": "+", "equals_sign": "=", "escape": "esc",
    "left_square_bracket": "[", "right_square_bracket": "]", "left_curly_bracket": "{", "right_curly_bracket": "}",
    "less_than_sign": "<", "greater_than_sign": ">",
}  # fmt: skip
"""How textual's names of keys are shown, where that is not the name itself."""


def action(name: str) -> Action | None:
    """The action of that id; None for textual's own actions."""
    return _BY_ID.get(name)


def shown_key(key: str) -> str:
    """A key as operators know it: `ctrl+p` -> `^p`, `slash` -> `/`."""
    return KEY_NAMES.get(key, key.replace("ctrl+", "^"))


def actions_on(screen: str) -> tuple[Action, ...]:
    """What can be asked for on that screen: its own actions first, then those that are everywhere."""
    own = [item for item in ACTIONS if item.scope and screen in item.scope]
    return (*own, *(item for item in ACTIONS if not item.scope))


def own_actions(screen: str) -> tuple[Action, ...]:
    """The actions that belong to that screen and not to all."""
    return tuple(item for item in ACTIONS if item.scope and screen in item.scope)


def everywhere() -> tuple[Action, ...]:
    """The actions that are the same on every screen."""
    return tuple(item for item in ACTIONS if not item.scope)


def with_keys(actions: Sequence[Action], keymap: Mapping[str, Sequence[str]]) -> tuple[Action, ...]:
    """The actions with the keys that the operator's file gives them; the others keep theirs."""
    return tuple(replace(item, keys=tuple(keymap[item.id])) if item.id in keymap else item for item in actions)


def twin(item: Action, subject: str) -> str:
    """The command line that does the same, "" where there is none."""
    return item.twin.replace("{subject}", subject or "SELECTOR") if item.twin else ""
