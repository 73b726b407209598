// What a reading looks like on the exported page.
'use strict';

function told(answer) {
  const [characters, kinds] = INFO.output;
  const letters = [];
  for (let at = 0; at < characters; at++) {
    const row = answer.probabilities.slice(at * kinds, (at + 1) * kinds);
    const number = row.indexOf(Math.max(...row));
    if (INFO.classes[number]) letters.push([INFO.classes[number], row[number]]);
  }
  const sure = answer.confidence[0];
  const parts = [element('h2', `${letters.map((one) => one[0]).join('') || '–'}  ${percent(sure)}`)];
  const least = INFO.learned.confidence_threshold ?? null;
  if (least !== null && sure < least) parts.push(element('p', WORDS.unsure, 'note'));
  return [...parts, ...bars(letters)];
}
