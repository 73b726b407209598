'use strict';

const place = (id) => document.getElementById(id);

async function call(path, options) {
  const token = place('token').value;
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { ...options, headers });
  return response.json();
}

async function list() {
  const found = await call('/v1/models');
  place('model').replaceChildren(...(found.models || []).map((one) => new Option(one.name)));
  place('answer').textContent = found.error || '';
}

place('token').addEventListener('change', list);
place('ask').addEventListener('click', async () => {
  const body = new FormData();
  for (const file of place('files').files) body.append('file', file);
  const path = `/v1/models/${encodeURIComponent(place('model').value)}/predict`;
  place('answer').textContent = JSON.stringify(await call(path, { method: 'POST', body }), null, 2);
});
list();
