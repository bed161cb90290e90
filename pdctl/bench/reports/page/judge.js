"use strict";
// What pdctl.bench.figures.verdict says, for every request of a point: an answer of one token has no pace and meets it;
// one whose first token was not seen has met nothing; a target hit exactly is met.
const KINDS = ["met", "ttft", "itl", "both", "failed"];
const KIND_WORDS = {met: "met", ttft: "TTFT missed", itl: "ITL missed", both: "both missed", failed: "failed"};

function verdicts(point, slo) {
  const pace = slo.criterion === "tpot" ? point.tpot : point.itl;
  return point.ok.map((ok, i) => {
    if (!ok) return "failed";
    const late = point.ttft[i] === null || point.ttft[i] > slo.ttft;
    const slow = pace[i] !== null && pace[i] > slo.itl;
    return late && slow ? "both" : late ? "ttft" : slow ? "itl" : "met";
  });
}

function counts(kinds) {
  const found = Object.fromEntries(KINDS.map(kind => [kind, 0]));
  for (const kind of kinds) found[kind] += 1;
  return found;
}

// All seeds of one load: attainment of all their requests together, goodput as the mean over the seeds.
function judge(group, slo) {
  let met = 0, offered = 0, goodput = 0;
  for (const point of group) {
    const good = counts(verdicts(point, slo)).met;
    met += good;
    offered += point.ok.length;
    goodput += (point.duration > 0 ? good / point.duration : 0) / group.length;
  }
  return {met, offered, goodput, attainment: offered ? met / offered : 0};
}

// The heaviest load at which the share is met, together with all lighter ones.
function best(groups, slo) {
  let found = null;
  for (const group of groups) {
    if (judge(group, slo).attainment < slo.share) break;
    found = group;
  }
  return found;
}
