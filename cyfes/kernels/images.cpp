#include "images.hpp"

namespace cufes {

namespace {

// Machine code runs on devices of its own major version and the same or a later minor one. PTX is
// compiled by the driver for any device that is at least as new.
bool runs_on(const Image &image, int major, int minor) {
  const int device = 10 * major + minor;
  return image.arch <= device && (image.ptx || image.arch / 10 == major);
}

// Machine code before PTX, which costs a compilation at the first call; then the newest.
bool better(const Image &a, const Image &b) { return a.ptx != b.ptx ? b.ptx : a.arch > b.arch; }

}  // namespace

int choose_image(const Image *images, int count, int major, int minor) {
  int best = -1;
  for (int i = 0; i < count; ++i) {
    if (!runs_on(images[i], major, minor)) continue;
    if (best < 0 || better(images[i], images[best])) best = i;
  }
  return best;
}

}  // namespace cufes
