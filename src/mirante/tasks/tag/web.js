// What the labels of an image look like on the exported page.
'use strict';

const SHOWN = 12;  // labels of an image

function told(answer) {
  const shares = answer.probabilities;
  const thresholds = INFO.learned.thresholds && INFO.learned.thresholds.length ? INFO.learned.thresholds : shares.map(() => 0.5);
  const order = shares.map((share, at) => at).sort((one, other) => shares[other] - shares[one]);
  const has = order.filter((at) => shares[at] >= thresholds[at]);
  const limit = INFO.learned.ood_threshold ?? null;
  const strange = limit !== null && answer.ood_score && answer.ood_score[0] > limit;
  const parts = [element('h2', has.map((at) => `${INFO.classes[at]} ${percent(shares[at])}`).join(', ') || '–')];
  if (strange) parts.push(element('p', WORDS.strange, 'note'));
  return [...parts, ...bars(order.slice(0, Math.max(SHOWN, has.length)).map((at) => [INFO.classes[at], shares[at]]))];
}
