// operator new and delete reach malloc in every form, and fail as the standard says.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);     \
            std::exit(1);                                                                          \
        }                                                                                          \
    } while (0)

struct alignas(256) Wide {
    char bytes[300];
};

struct AtExit {
    std::vector<int> *numbers = new std::vector<int>(1000, 7);
    ~AtExit() { delete numbers; }
};
static AtExit at_exit;
static thread_local std::string late = std::string(1000, 'x');

static int handler_calls = 0;

static void handler() {
    if (++handler_calls == 3) {
        throw std::bad_alloc();
    }
}

static volatile std::size_t absurd = std::numeric_limits<std::size_t>::max() / 2;

int main() {
    int *one = new int(5);
    delete one;
    int *many = new int[1000];
    ::operator delete[](many, 1000 * sizeof(int)); // sized
    Wide *wide = new Wide;
    CHECK(reinterpret_cast<std::uintptr_t>(wide) % 256 == 0);
    delete wide;
    auto wides = std::make_unique<Wide[]>(17);
    CHECK(reinterpret_cast<std::uintptr_t>(wides.get()) % 256 == 0);
    int *none = new (std::nothrow) int[7];
    delete[] none;
    void *zero = ::operator new(0);
    CHECK(zero != nullptr);
    ::operator delete(zero);

    bool thrown = false;
    try {
        ::operator delete(::operator new(absurd));
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    CHECK(thrown);
    CHECK(::operator new(absurd, std::nothrow) == nullptr);
    std::set_new_handler(handler);
    thrown = false;
    try {
        ::operator delete(::operator new(absurd));
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    CHECK(thrown && handler_calls == 3);
    std::set_new_handler(nullptr);

    std::vector<std::thread> threads;
    for (int i = 0; i < 8; i++) {
        threads.emplace_back([] {
            late += "y";
            std::vector<std::string> strings;
            for (int j = 0; j < 1000; j++) {
                strings.emplace_back(static_cast<std::size_t>(j), 'z');
            }
            try {
                throw std::runtime_error("across");
            } catch (const std::runtime_error &error) {
                CHECK(std::string(error.what()) == "across");
            }
        });
    }
    for (auto &thread : threads) {
        thread.join();
    }
    return 0;
}
