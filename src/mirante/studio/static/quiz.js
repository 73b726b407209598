// The question at the end of a chapter: one answer is right, each has its reason.

for (const form of document.querySelectorAll("form.question")) {
  const said = form.querySelector("output");
  form.addEventListener("change", () => {
    const chosen = form.querySelector("input:checked");
    said.textContent = chosen.dataset.says;
    said.className = chosen.dataset.right === "yes" ? "right" : "wrong";
  });
}
