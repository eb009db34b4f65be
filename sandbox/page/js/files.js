// Files a person chose, as the sandbox takes them. Knows the size limit; must never keep a file.

const LIMIT = 10 * 1024 * 1024;

/** {filename, data} with the bytes in base64. Throws a sentence when the file is too large. */
export async function readFile(file) {
  if (file.size > LIMIT) throw new Error(`${file.name} is larger than 10 MiB, which Discord refuses. Choose a smaller file.`);
  const address = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(new Error(`${file.name} could not be read.`)));
    reader.readAsDataURL(file);
  });
  return { filename: file.name, data: address.slice(address.indexOf(",") + 1) };
}
