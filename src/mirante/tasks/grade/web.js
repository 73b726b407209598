// The answer of a model of grades: the highest grade that, with those above it, reaches its boundary.
function decide(shares) {
  const boundaries = INFO.learned.boundaries || [];
  if (!boundaries.length) return shares.indexOf(Math.max(...shares));
  let [above, answer] = [0, 0];
  for (let number = shares.length - 1; number > 0; number -= 1) {
    above += shares[number];
    if (above >= boundaries[number - 1]) answer = Math.max(answer, number);
  }
  return answer;
}
