// How many SMS a text takes: GSM 03.38 septets, or UCS-2 where a character is
// not among them (3GPP TS 23.038).
const basic = new Set(
  "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà",
);
const extended = new Set("^{}\\[~]|€\f");

export function count(text) {
  let septets = 0;
  for (const c of text) {
    if (basic.has(c)) septets += 1;
    else if (extended.has(c)) septets += 2;
    else {
      const units = text.length;
      return { characters: units, segments: units <= 70 ? 1 : Math.ceil(units / 67) };
    }
  }
  return { characters: septets, segments: septets <= 160 ? 1 : Math.ceil(septets / 153) };
}
