// What a classifier's answer looks like on the exported page.
'use strict';

const SHOWN = 10;  // classes of an image

// Which class is the answer: the most probable one, or what the threshold or the weights of unequal classes say.
function decide(shares) {
  const best = (values) => values.indexOf(Math.max(...values));
  const { positive, threshold, class_weights: weights } = INFO.learned;
  if (positive) {
    const number = INFO.classes.indexOf(positive);
    if (shares[number] >= threshold) return number;
    return best(shares.map((share, at) => (at === number ? -1 : share)));
  }
  return best(shares.map((share, at) => share * (weights && weights.length ? weights[at] : 1)));
}

function told(answer) {
  const shares = answer.probabilities;
  const number = decide(shares);
  const limit = INFO.learned.ood_threshold ?? null;
  const strange = limit !== null && answer.ood_score && answer.ood_score[0] > limit;
  const parts = [element('h2', strange ? WORDS.none : `${INFO.classes[number]}  ${percent(shares[number])}`)];
  if (strange) parts.push(element('p', WORDS.strange, 'note'));
  const order = shares.map((share, at) => at).sort((one, other) => shares[other] - shares[one]);
  return [...parts, ...bars(order.slice(0, SHOWN).map((at) => [INFO.classes[at], shares[at]]))];
}
