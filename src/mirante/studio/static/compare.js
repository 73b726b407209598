// The chosen runs go into the address, so that a comparison can be kept as a bookmark.

const form = document.getElementById("compare");
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  const runs = [...form.querySelectorAll("input:checked")].map((one) => one.value);
  location.assign("?" + new URLSearchParams({ runs: runs.join("|") }));
});
