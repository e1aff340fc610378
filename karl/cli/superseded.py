"""The commands of the two command lines that KARL supersedes: what each is now, what changed, and why.

docs/commands.md ends with this; tests hold that every name still resolves.
"""

from __future__ import annotations

from typing import NamedTuple


class Name(NamedTuple):
    """A name of a superseded command line, the words that do it now, and what is different."""

    name: str
    now: str
    change: str


#: The script of 67 commands, in its own order.
SCRIPT = (
    Name("status", "karl status", "the line and its state at a cost that does not grow; reading changes nothing any more"),
    Name("shadow", "karl shadow", "adds waits, truths and intervals; agreement with the rules is no merit, so it is no gate"),
    Name("health", "karl health", "by agent, with a test for a trend instead of the difference of two halves"),
    Name("promote", "karl promote", "still only checks; `--apply` goes live, on evidence with intervals"),
    Name("auto-promote", "karl auto-promote", "goes live, or back, by the policy in the ledger; back by a comparison, not by an all-time mean"),
    Name("trend", "karl trend", "of the turns themselves, so no day is missing where nobody logged it"),
    Name("log-trend", "karl log-trend", "shows today; nothing has to be logged, since every turn is in the ledger"),
    Name("dedup", "karl dedup", "finds one turn told twice; a session's turns are no duplicates; what --apply takes out, a record tells"),
    Name("integrity", "karl integrity", "what the records say; `karl verify` checks every byte"),
    Name("annotate", "karl annotate", "a person's word as a record that refers to a turn; predictions are joined by event, not by half an id"),
    Name("quality", "karl quality", "grades against the agent's own turns; a grade is computed, never written into a record"),
    Name("archive", "karl archive", "compresses old segments, which read as before; nothing is moved away"),
    Name("export", "karl export", "the split comes before any copy; a manifest, hashes, and refusal where it is not clean"),
    Name("train", "karl train", "export, training and fetching in one; a job on a worker, no ssh"),
    Name("centroids", "karl centroids", "trained from prompts with a known truth, measured, and used only if not worse"),
    Name("metrics", "karl metrics", "valid exposition, each name described once; every process tells its own at KARL_METRICS_PORT"),
    Name("config", "karl config", "settings are environment variables; policy is records (`karl promotion log`)"),
    Name("confusion", "karl confusion", "counts with intervals, also of prompts that asked for no skill"),
    Name("diversity", "karl diversity", "effective numbers of tools, files, prompts and skills with intervals; centroids beside them"),
    Name("seed", "karl seed --apply", "marked synthetic, never evidence; needs KARL_ALLOW_SEEDING"),
    Name("promote-sim", "karl promote-sim", "says what the policy would do by now, on the same evidence"),
    Name("hybrid", "karl hybrid", "which router has which skill, and which one has earned it"),
    Name("accuracy-trend", "karl accuracy-trend", "of all predictions, with a test; not the first logged day against the last"),
    Name("log-accuracy", "karl log-accuracy", "shows today; nothing has to be logged, and no other command runs unasked"),
    Name("sft-ready", "karl sft-ready", "counts the rows and sessions that `karl train` would really have, and what is held out"),
    Name("synth-qa", "karl synth-qa", "from commits, every statement checked; no templates, no coin, no reward; marked, capped, never in evaluation"),
    Name("hard-negatives", "karl hard-negatives", "with their prompts, the surest errors first"),
    Name("refine", "karl refine --apply", "changes exemplars, and keeps what held-out prompts prove; vectors are not pushed by hand"),
    Name("confusion-resolve", "karl confusion-resolve", "says what to do about a pair, with the counts behind it"),
    Name("skill-breakdown", "karl skill-breakdown", "accuracy and the cost of errors by skill, with intervals"),
    Name("lift-sim", "karl lift-sim", "the most that the reward could gain, and why shadow routing can not show it"),
    Name("train-dryrun", "karl train-dryrun", "tokens by the model's own tokenizer, time by the newest training of that model; writes nothing"),
    Name("centroid-snapshot", "karl centroid-snapshot", "names a router; each is kept by its id anyway, none is a pickle"),
    Name("centroid-versions", "karl centroid-versions", "the routers that the ledger tells of"),
    Name("centroid-rollback", "karl centroid-rollback", "uses an earlier router again, as a record"),
    Name("lift-analysis", "karl lift-analysis", "compares turns within an agent, by session, and says what it can not show"),
    Name("force-promote", "karl force-promote", "as before with a reason, kept in the ledger"),
    Name("reshadow", "karl reshadow --apply", "new records marked replayed; stored predictions stay as they were"),
    Name("accuracy-source", "karl accuracy-source", "by where predictions and truths come from, with intervals"),
    Name("iterative-refine", "karl iterative-refine", "refines until a round keeps nothing on held-out prompts"),
    Name("sft-preflight", "karl sft-preflight", "two iterations on the node that trains, memory, disk, versions, BLAS; a job, no ssh"),
    Name("sft-launch", "karl sft-launch", "a job that is watched, resumed and ended in order; the old flags did not exist and it said “launched”"),
    Name("sft-status", "karl sft-status", "from the job and its records, on any machine; no pid, no log of elsewhere"),
    Name("ab-monitor", "karl ab-monitor", "an experiment with a control, an interval that holds whenever one looks"),
    Name("auto-refresh", "karl auto-refresh", "trains where exemplars changed, and only then"),
    Name("sft-eval", "karl sft-eval", "held-out next actions, baselines, several seeds, intervals; a loss below 1.5 is no verdict"),
    Name("sft-fetch", "karl sft-fetch", "over Redis with hashes, whole or not at all; no scp"),
    Name("log-skill-evolution", "karl log-skill-evolution", "shows today; nothing has to be logged"),
    Name("skill-evolution", "karl skill-evolution", "of all predictions, with a test for a trend"),
    Name("health-digest", "karl health-digest", "what got worse that can be told from chance; `--check` exits 1"),
    Name("post-digest", "karl post-digest", "to KARL_WEBHOOK_URL: Discord, Slack or JSON; says when it was not taken"),
    Name("cron", "karl cron", "asks for what is due once, whoever asks; it posts nothing: `karl post-digest` does"),
    Name("auto-resolve", "karl auto-resolve --apply", "works: it raised NameError; keeps what held-out prompts prove"),
    Name("skill-matrix", "karl skill-matrix", "near pairs are outliers among the router's own cosines, not those above a fixed 0.85"),
    Name("merge-candidates", "karl merge-candidates", "by whether prompts tell the two apart, with an interval; a cosine alone says nothing"),
    Name("reward-calibration", "karl reward-calibration", "whether rewards can be read as chances, against known outcomes"),
    Name("replay", "karl reshadow", "the name now steps through a trajectory (`karl replay`); prompts are predicted again by `karl reshadow`"),
    Name("dashboard", "karl dashboard", "all parts on a page, or --json on stdout; no file. `karl dashboard rq` shows jobs in a browser"),
    Name("difficulty", "karl difficulty", "by what became of an agent's turns among its own; `--prompts`: of routing, each part by its place among the others"),
    Name("accuracy-forecast", "karl accuracy-forecast", "the interval that more prompts would give, and how many tell the router from the rules"),
    Name("exemplars", "karl exemplars", "what a router trained now would learn from, each with where it is from"),
    Name("add-exemplar", "karl add-exemplar", "as before, as a record, without secrets"),
    Name("remove-exemplar", "karl remove-exemplar", "by number or id; nothing is deleted"),
    Name("rebuild-centroid", "karl rebuild-centroid", "works: it stored what ranking could not read; chooses the exemplars of one skill anew"),
    Name("confidence-analysis", "karl confidence-analysis", "calibration and a threshold chosen on other prompts than it is judged by"),
    Name("routing-override", "karl routing-override", "as before, as a record with who and why"),
    Name("organic-status", "karl organic-status", "counts evidence of live predictions, and says when there is enough"),
)  # fmt: skip

#: The installed program of ten commands.
PROGRAM = (
    Name("status", "karl status", "one status for both"),
    Name("backfill", "karl backfill", "new records that refer to turns; the store is never rewritten"),
    Name("export", "karl export", "one export for both, see above"),
    Name("train", "karl train", "one training for both, see above"),
    Name("analyze", "karl analyze", "the predictions, and whether routing has earned its promotion"),
    Name("report", "karl report", "all figures on one page; `--json`"),
    Name("bootstrap", "karl bootstrap", "from skills and known prompts; texts are encoded in batches, no pickle"),
    Name("synthetic", "karl synthetic", "is `karl synth-qa --since 7d`, of the repository that is named; writes with --apply alone"),
    Name("weights", "karl weights", "what each skill weighs in a router; no average that moves whenever it is run"),
    Name("extract", "karl extract", "whole sessions of Claude Code, not the first entry of each; `karl import` for other agents"),
)  # fmt: skip
