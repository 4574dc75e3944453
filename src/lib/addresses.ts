/** What of an IP address stands for one client, where something is counted by address. */
import { isIPv6 } from "node:net";

/** Groups of 16 bits that name the network: one household or machine is given at least a /64 and may use all of it. */
const NETWORK_GROUPS = 4;
const GROUPS = 8;

/** An IPv4 address as it is, also inside IPv6 (`::ffff:1.2.3.4`); of any other IPv6 address its /64. All clients without
 * an address are one. */
export function addressKey(ipAddress: string | null): string {
  if (ipAddress === null) return "unknown";
  if (!isIPv6(ipAddress)) return ipAddress;
  const groups = expand(ipAddress);
  const [high = 0, low = 0] = groups.slice(-2);
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (isMapped) return [high >> 8, high & 0xff, low >> 8, low & 0xff].join(".");
  return `${groups.slice(0, NETWORK_GROUPS).map((group) => group.toString(16)).join(":")}::/64`;
}

/** The eight groups of an IPv6 address, in whichever way it is written; without a zone (`%eth0`). */
function expand(ipAddress: string): number[] {
  const [address = ""] = ipAddress.split("%");
  const { hostname } = new URL(`http://[${address}]`); // in its short form, and without dots
  const [head = [], tail = []] = hostname.slice(1, -1).split("::").map((part) =>
    part.split(":").filter(Boolean).map((group) => parseInt(group, 16))
  );
  return [...head, ...new Array<number>(GROUPS - head.length - tail.length).fill(0), ...tail];
}
