// Reads the stored (uncompressed) entries of a zip archive: what torch.save writes. Zip64 is
// understood. https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3 and 4.5.3
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace hone {

// Contents by entry name, as views of `bytes`. Compressed or encrypted entries, entries outside of
// the file and repeated names are Errors (kModel) of `path`.
std::map<std::string, std::string_view> read_stored_zip(std::string_view bytes,
                                                        const std::string& path);

}  // namespace hone
